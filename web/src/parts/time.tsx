/** Moments and lengths of time; those that go on tick. */

import { now } from "../app/clock";
import { ago, length, moment } from "./text";

/** How long ago; the moment itself, with its time zone, on hover. */
export function Ago({ at }: { at: string }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at, now.value)}
    </time>
  );
}

/** A moment in the reader's zone. */
export function Moment({ at }: { at: string }) {
  return <time dateTime={at}>{moment(at)}</time>;
}

/** How long from one moment to another, or until now. */
export function Length({ from, to }: { from: string; to: string | null }) {
  const until = to === null ? now.value : Date.parse(to);
  return <span class="number">{length(Math.max(0, (until - Date.parse(from)) / 1000))}</span>;
}
