/** Finds words in all lines of a log, also in those that are not in the page. */

import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { LogFeed } from "./log-feed";

const TYPING_MS = 150;

export function LogFind({
  feed,
  show,
  marked,
}: {
  feed: LogFeed;
  show: (line: number) => void;
  marked: Signal<number>;
}) {
  const word = useSignal("");
  const found = useSignal<number[]>([]);
  const at = useSignal(-1);
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined);
  const searched = useRef({ word: "", upTo: 0 });
  const go = (to: number) => {
    const many = found.value.length;
    if (many === 0) return;
    at.value = (to + many) % many;
    show(found.value[at.value] ?? 0);
  };
  const search = (text: string) => {
    word.value = text;
    found.value = feed.lines.find(text);
    searched.current = { word: text, upTo: feed.count.peek() };
    // The first one from where the reader is.
    const next = found.value.findIndex((line) => line >= marked.peek());
    at.value = -1;
    if (found.value.length > 0) go(Math.max(0, next));
  };
  useSignalEffect(() => {
    const many = feed.count.value;
    const before = searched.current;
    if (word.peek() === "" || many <= before.upTo) return;
    // The last line may have grown since.
    const from = Math.max(0, before.upTo - 1);
    const kept = found.peek().filter((line) => line < from);
    found.value = [...kept, ...feed.lines.find(word.peek(), from)];
    searched.current = { ...before, upTo: many };
  });
  return (
    <div class="log-find" role="search">
      <input
        type="search"
        aria-label="Find in the log"
        placeholder="Find in all lines"
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const text = event.currentTarget.value;
          clearTimeout(waiting.current);
          waiting.current = setTimeout(() => search(text), TYPING_MS);
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          go(at.value + (event.shiftKey ? -1 : 1));
        }}
      />
      {word.value !== "" && (
        <>
          <span class="quiet small number" role="status">{told(found.value.length, at.value)}</span>
          <button type="button" class="button button-quiet button-icon" aria-label="Previous match" disabled={found.value.length === 0} onClick={() => go(at.value - 1)}>
            <Arrow up />
          </button>
          <button type="button" class="button button-quiet button-icon" aria-label="Next match" disabled={found.value.length === 0} onClick={() => go(at.value + 1)}>
            <Arrow />
          </button>
        </>
      )}
    </div>
  );
}

function told(many: number, at: number): string {
  if (many === 0) return "none";
  return `${(at + 1).toLocaleString("en")} of ${many.toLocaleString("en")}`;
}

function Arrow({ up = false }: { up?: boolean }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line">
      <path d={up ? "M4 10l4-4 4 4" : "M4 6l4 4 4-4"} />
    </svg>
  );
}
