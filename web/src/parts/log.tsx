/**
 * A log, live or not. Up to 20,000 lines all are in the page, so that the browser finds words in
 * them; of longer ones only the chunks near what is seen, and the box above finds words.
 */

import { type Signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { LogChunk } from "./log-chunk";
import { type LogFeed, WHOLE } from "./log-feed";
import { LogFind } from "./log-find";
import { CHUNK } from "./log-lines";
import { count } from "./text";
import "./log.css";

const NEAR_END_PX = 40;

/**
 * @param feed the log
 * @param live whether more of it may come
 * @param download where the whole log is, as text
 * @param name the name of the file that is downloaded
 */
export function Log({
  feed,
  live,
  download,
  name,
}: {
  feed: LogFeed;
  live: boolean;
  download: string;
  name: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const following = useSignal(live && !location.hash);
  const wrapped = useSignal(true);
  const marked = useSignal(lineOf(location.hash));
  const show = (line: number) => {
    following.value = false;
    marked.value = line;
    feed.drawUpTo(Math.floor(line / CHUNK));
    scrollTo(box.current, line);
  };
  useFollowing(box, feed, following);
  useLinked(feed, marked, show);
  return (
    <section class="log" aria-label="Log">
      <div class="log-bar">
        <LogFind feed={feed} show={show} marked={marked} />
        <span class="quiet small number log-count">{count(feed.count.value, "line")}</span>
        <div class="row log-switches">
          {live && <Switch on={following} words="Follow" />}
          <Switch on={wrapped} words="Wrap" />
          <button type="button" class="button button-quiet" onClick={() => toStart(box, following)}>Start</button>
          <button type="button" class="button button-quiet" onClick={() => toEnd(box, following, live)}>End</button>
          <a class="button button-quiet" href={download} download={name}>Download</a>
        </div>
      </div>
      {feed.count.value === 0 ? (
        <p class="log-none quiet">{live ? "Nothing was logged yet." : "Nothing was logged."}</p>
      ) : (
        <Box box={box} feed={feed} wrapped={wrapped} marked={marked} following={following} />
      )}
    </section>
  );
}

function Box({
  box,
  feed,
  wrapped,
  marked,
  following,
}: {
  box: RefObject<HTMLDivElement | null>;
  feed: LogFeed;
  wrapped: Signal<boolean>;
  marked: Signal<number>;
  following: Signal<boolean>;
}) {
  const whole = useComputed(() => feed.count.value <= WHOLE);
  const lastTop = useRef(0);
  const scrolled = () => {
    const seen = box.current;
    if (!seen) return;
    const up = seen.scrollTop < lastTop.current - 2;
    lastTop.current = seen.scrollTop;
    if (up && distance(seen) > NEAR_END_PX) following.value = false;
  };
  return (
    <div
      ref={box}
      class={wrapped.value ? "log-box log-wrapped" : "log-box"}
      role="log"
      aria-live="off"
      aria-label="Lines of the log"
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- the keyboard must be able to scroll it
      tabIndex={0}
      onScroll={scrolled}
      onClick={(event) => numberClicked(event, marked)}
    >
      {Array.from({ length: feed.drawn.value }, (_, index) => (
        <LogChunk key={index} index={index} feed={feed} box={box} whole={whole} marked={marked} />
      ))}
    </div>
  );
}

function Switch({ on, words }: { on: Signal<boolean>; words: string }) {
  return (
    <label class="log-switch">
      <input
        type="checkbox"
        checked={on.value}
        onChange={(event) => {
          on.value = event.currentTarget.checked;
        }}
      />
      {words}
    </label>
  );
}

/** Stay at the end while following. */
function useFollowing(box: RefObject<HTMLDivElement | null>, feed: LogFeed, following: Signal<boolean>): void {
  useSignalEffect(() => {
    void feed.count.value;
    void feed.drawn.value;
    if (!following.value) return;
    requestAnimationFrame(() => {
      const seen = box.current;
      if (seen && following.peek()) seen.scrollTop = seen.scrollHeight;
    });
  });
}

/** Show the line that the URL names, once it is there. */
function useLinked(feed: LogFeed, marked: Signal<number>, show: (line: number) => void): void {
  const wanted = useRef(marked.peek());
  useSignalEffect(() => {
    const there = feed.count.value;
    if (wanted.current < 0 || there <= wanted.current) return;
    const line = wanted.current;
    wanted.current = -1;
    queueMicrotask(() => show(line));
  });
  useEffect(() => {
    const changed = () => {
      const line = lineOf(location.hash);
      if (line >= 0 && line < feed.count.peek()) show(line);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- once for a feed
  }, [feed]);
}

function toStart(box: RefObject<HTMLDivElement | null>, following: Signal<boolean>): void {
  following.value = false;
  box.current?.scrollTo({ top: 0 });
}

function toEnd(box: RefObject<HTMLDivElement | null>, following: Signal<boolean>, live: boolean, tries = 5): void {
  following.value = live;
  const seen = box.current;
  if (!seen) return;
  seen.scrollTop = seen.scrollHeight;
  // What comes into sight takes its height only then.
  if (tries > 0) requestAnimationFrame(() => toEnd(box, following, live, tries - 1));
}

function numberClicked(event: MouseEvent, marked: Signal<number>): void {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a.log-number");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  marked.value = lineOf(link.hash);
  history.replaceState(null, "", link.hash);
}

/** The index of the line that "#L12" names; -1 for anything else. */
function lineOf(hash: string): number {
  const told = /^#L(\d{1,9})$/.exec(hash);
  return told ? Number(told[1]) - 1 : -1;
}

/** Scroll to a line; its chunk first, because a chunk far away is not drawn yet. */
function scrollTo(box: HTMLDivElement | null, line: number, tries = 30): void {
  const found = document.getElementById(`L${line + 1}`);
  if (found) {
    found.scrollIntoView({ block: "center" });
    // Chunks around it take their heights only now.
    requestAnimationFrame(() => found.scrollIntoView({ block: "center" }));
    return;
  }
  box?.querySelector(`[data-chunk="${Math.floor(line / CHUNK)}"]`)?.scrollIntoView();
  if (tries > 0) requestAnimationFrame(() => scrollTo(box, line, tries - 1));
}

function distance(seen: HTMLElement): number {
  return seen.scrollHeight - seen.scrollTop - seen.clientHeight;
}
