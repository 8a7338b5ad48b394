/** Moments and lengths of time; those that go on tick. */

import { useComputed } from "@preact/signals";
import { now } from "../app/clock";
import { ago, length, moment } from "./text";

/** How long ago; the moment itself, with its time zone, on hover. */
export function Ago({ at }: { at: string }) {
  // As a signal: the text alone changes, and only when its words do. Lists have hundreds of these.
  const words = useComputed(() => ago(at, now.value));
  return (
    <time dateTime={at} title={moment(at)}>
      {words}
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
