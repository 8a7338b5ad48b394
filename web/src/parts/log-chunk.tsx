/** Two hundred lines of a log. */

import { type ReadonlySignal, useComputed, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Look, type Span, spans } from "./ansi";
import type { LogFeed } from "./log-feed";
import { CHUNK, withLinks } from "./log-lines";

/** How far from what is seen a chunk is drawn already. */
const AROUND = "1200px 0px";

export function LogChunk({
  index,
  feed,
  box,
  whole,
  marked,
}: {
  index: number;
  feed: LogFeed;
  box: RefObject<HTMLDivElement | null>;
  whole: ReadonlySignal<boolean>;
  marked: ReadonlySignal<number>;
}) {
  const place = useRef<HTMLDivElement>(null);
  const near = useSignal(false);
  const height = useRef(0);
  // Only the chunks that have the marked line, or had it, are drawn again when it changes.
  const mark = useComputed(() => (Math.floor(marked.value / CHUNK) === index ? marked.value : -1));
  const all = whole.value;
  useLayoutEffect(() => {
    const here = place.current;
    if (all || !here) return undefined;
    const watching = new IntersectionObserver(
      (entries) => {
        const inside = entries.at(-1)?.isIntersecting ?? false;
        // A chunk that is taken away leaves its place as it was, so that nothing jumps.
        if (!inside && near.peek()) height.current = here.offsetHeight;
        near.value = inside;
      },
      { root: box.current, rootMargin: AROUND },
    );
    watching.observe(here);
    return () => watching.disconnect();
  }, [all, box, near]);
  const shown = all || near.value;
  void feed.version(index).value;
  const size = feed.lines.chunks[index]?.lines.length ?? 0;
  const empty = height.current > 0 ? `${height.current}px` : `calc(${size} * var(--log-line))`;
  return (
    <div ref={place} class="log-chunk" data-chunk={index} style={{ height: shown ? "" : empty }}>
      {shown && <Lines index={index} feed={feed} mark={mark} />}
    </div>
  );
}

function Lines({ index, feed, mark }: { index: number; feed: LogFeed; mark: ReadonlySignal<number> }) {
  void feed.version(index).value;
  const chunk = feed.lines.chunks[index];
  if (!chunk) return null;
  let look = chunk.look;
  return (
    <>
      {chunk.lines.map((line, at) => {
        const found = spans(line, look);
        look = found.look;
        return <Line key={at} index={chunk.first + at} spans={found.spans} marked={mark.value === chunk.first + at} />;
      })}
    </>
  );
}

function Line({ index, spans: parts, marked }: { index: number; spans: Span[]; marked: boolean }) {
  const name = `L${index + 1}`;
  return (
    <div id={name} class={marked ? "log-line log-marked" : "log-line"}>
      <a class="log-number" href={`#${name}`} tabIndex={-1} data-line={index + 1} aria-label={`Line ${index + 1}`} />
      <span class="log-text">
        {parts.map((each, at) => (
          <Piece key={at} span={each} />
        ))}
      </span>
    </div>
  );
}

function Piece({ span }: { span: Span }) {
  const text = withLinks(span.text).map((each, at) =>
    each.link ? (
      <a key={at} href={each.text} target="_blank" rel="noopener noreferrer">{each.text}</a>
    ) : (
      each.text
    ),
  );
  const { className, style } = shownAs(span.look);
  if (!className && !style) return <>{text}</>;
  return <span class={className} style={style}>{text}</span>;
}

function shownAs(look: Look): { className: string; style: Record<string, string> | undefined } {
  const [ink, ground] = look.inverse ? [look.ground || "under", look.ink || "over"] : [look.ink, look.ground];
  const words = [
    look.bold && "log-bold",
    look.faint && "log-faint",
    look.italic && "log-italic",
    look.underlined && "log-underlined",
    ink && !ink.startsWith("#") && `log-ink-${ink}`,
    ground && !ground.startsWith("#") && `log-ground-${ground}`,
  ];
  const style: Record<string, string> = {};
  if (ink.startsWith("#")) style.color = ink;
  if (ground.startsWith("#")) style.backgroundColor = ground;
  const any = Object.keys(style).length > 0;
  return { className: words.filter(Boolean).join(" "), style: any ? style : undefined };
}
