/**
 * A tree of runs over time: one row a run, its bar on the scale that all rows share. A treegrid:
 * arrow keys go through it, Right and Left open and close, Enter opens the run.
 */

import { batch, type ReadonlySignal, type Signal, useComputed, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Summary } from "../api/types";
import { now } from "../app/clock";
import { go, href } from "../app/router";
import { ended, Status } from "./status";
import { count, length, money } from "./text";
import { type From, type Node, piecesOf, rowsOf, type Scale, scaleOf, ticks, windowOf } from "./timeline-layout";
import "./timeline.css";

/** Up to so many rows all are in the page. */
const WHOLE = 300;
/** Indents are drawn up to this level; from there on the number says it. */
const DEEPEST = 12;
const DEEPEST_NARROW = 4;
const NARROW = matchMedia("(max-width: 44rem)");

/**
 * @param runs the runs of the tree, by id
 * @param here the id of the run whose page this is
 */
export function Timeline({ runs, here }: { runs: ReadonlySignal<ReadonlyMap<string, Summary>>; here: string }) {
  const from = useSignal<From>("create");
  const folded = useSignal<ReadonlySet<string>>(new Set());
  const rows = useComputed(() => rowsOf(runs.value.values(), folded.value));
  const goesOn = useComputed(() => [...runs.value.values()].some((each) => !ended(each.status)));
  // Where everything has ended, no row looks at the clock.
  const clock = useComputed(() => (goesOn.value ? now.value : 0));
  const scale = useComputed(() => scaleOf(runs.value.values(), from.value, clock.value));
  const parents = rows.value.filter((each) => each.below > 0);
  return (
    <div class="timeline">
      <div class="timeline-bar">
        <div class="row" role="group" aria-label="The scale begins">
          <Choice from={from} value="create" words="From create" />
          <Choice from={from} value="start" words="From start" />
        </div>
        <Legend from={from.value} />
        {parents.length > 1 && (
          <div class="row timeline-folds">
            <button
              type="button"
              class="button button-quiet"
              onClick={() => {
                folded.value = new Set(rowsOf(runs.value.values(), new Set()).filter((each) => each.below > 0 && each.level > 1).map((each) => each.run.id));
              }}
            >
              Fold all
            </button>
            <button
              type="button"
              class="button button-quiet"
              onClick={() => {
                folded.value = new Set();
              }}
            >
              Unfold all
            </button>
          </div>
        )}
      </div>
      <Grid rows={rows} scale={scale} from={from} clock={clock} folded={folded} here={here} />
    </div>
  );
}

function Choice({ from, value, words }: { from: Signal<From>; value: From; words: string }) {
  return (
    <button
      type="button"
      class="button timeline-choice"
      aria-pressed={from.value === value}
      onClick={() => {
        from.value = value;
      }}
    >
      {words}
    </button>
  );
}

function Legend({ from }: { from: From }) {
  return (
    <span class="timeline-legend quiet small">
      {from === "create" && <><i class="timeline-key timeline-waiting" /> queued and starting</>}
      <i class="timeline-key timeline-active timeline-succeeded" /> at work
    </span>
  );
}

interface GridProps {
  rows: ReadonlySignal<Node[]>;
  scale: ReadonlySignal<Scale>;
  from: ReadonlySignal<From>;
  clock: ReadonlySignal<number>;
  folded: Signal<ReadonlySet<string>>;
  here: string;
}

function Grid({ rows, scale, from, clock, folded, here }: GridProps) {
  const box = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const height = narrow.value ? 60 : 36;
  const seen = useSeen(box);
  // Which row the arrow keys are at; the list may change around it.
  const current = useSignal(here);
  const all = rows.value;
  const { first, last } =
    all.length <= WHOLE ? { first: 0, last: all.length } : windowOf(all.length, height, seen.value.top, seen.value.height);
  const index = Math.max(0, all.findIndex((each) => each.run.id === current.value));
  const moveTo = (to: number) => {
    const next = all[Math.min(all.length - 1, Math.max(0, to))];
    if (!next || !box.current) return;
    current.value = next.run.id;
    showRow(box.current, all.indexOf(next), height);
    focusSoon(box.current, next.run.id);
  };
  return (
    <div ref={box} class="timeline-box">
      {/* oxlint-disable-next-line jsx-a11y/interactive-supports-focus -- its rows take the focus */}
      <div
        role="treegrid"
        class="timeline-grid"
        aria-label="Runs of the tree"
        aria-rowcount={all.length + 1}
        onKeyDown={(event) => pressed(event, { all, index, folded, moveTo })}
        onFocusIn={(event) => {
          const id = (event.target as Element).closest<HTMLElement>("[data-run]")?.dataset.run;
          if (id) current.value = id;
        }}
      >
        <Head scale={scale.value} />
        <div class="timeline-rows" role="rowgroup" style={{ height: `${all.length * height}px` }}>
          <div role="presentation" class="timeline-window" style={{ transform: `translateY(${first * height}px)` }}>
            {all.slice(first, last).map((each, at) => (
              <Row
                key={each.run.id}
                node={each}
                place={first + at}
                current={each.run.id === all[index]?.run.id}
                here={each.run.id === here}
                narrow={narrow.value}
                scale={scale}
                from={from}
                clock={clock}
                folded={folded}
              />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

function Head({ scale }: { scale: Scale }) {
  return (
    <div role="rowgroup" class="timeline-head">
      <div role="row" class="timeline-row" aria-rowindex={1}>
        <span role="columnheader" class="timeline-name">Run</span>
        <span role="columnheader" class="timeline-bars">
          <span class="for-readers">Time</span>
          {ticks(scale.span).map((each) => (
            <span key={each.seconds} class="timeline-tick number" style={{ left: `${each.at * 100}%` }}>
              {each.seconds === 0 ? "0" : round(each.seconds)}
            </span>
          ))}
        </span>
        <span role="columnheader" class="timeline-length">Time</span>
        <span role="columnheader" class="timeline-cost">Cost</span>
      </div>
    </div>
  );
}

function round(seconds: number): string {
  return length(seconds).replace(/\.0 s$/, " s").replace(/ (min|h) 0 (s|min)$/, " $1");
}

interface RowProps {
  node: Node;
  place: number;
  current: boolean;
  here: boolean;
  narrow: boolean;
  scale: ReadonlySignal<Scale>;
  from: ReadonlySignal<From>;
  clock: ReadonlySignal<number>;
  folded: Signal<ReadonlySet<string>>;
}

function Row({ node, place, current, here, narrow, scale, from, clock, folded }: RowProps) {
  const { run, level, below } = node;
  const deepest = narrow ? DEEPEST_NARROW : DEEPEST;
  const words = ["timeline-row", here && "timeline-here"].filter(Boolean).join(" ");
  return (
    <div
      role="row"
      class={words}
      data-run={run.id}
      aria-level={level}
      aria-rowindex={place + 2}
      aria-expanded={below > 0 ? !node.folded : undefined}
      tabIndex={current ? 0 : -1}
      onClick={(event) => {
        if (!(event.target as Element).closest("a, button")) go(href(`predictions/${run.id}`));
      }}
    >
      <span role="gridcell" class="timeline-name" style={{ paddingLeft: `${Math.min(level - 1, deepest) * (narrow ? 8 : 14)}px` }}>
        <Fold node={node} folded={folded} />
        {level - 1 > deepest && <span class="badge" title="Level">{level}</span>}
        <Status state={run.status} compact />
        <a href={href(`predictions/${run.id}`)} tabIndex={-1} class="cut" title={`${run.name}, ${run.model}`} aria-current={here ? "true" : undefined}>
          {run.name}
        </a>
        <span class="quiet small cut timeline-model">{shortModel(run)}</span>
      </span>
      <span role="gridcell" class="timeline-bars">
        {piecesOf(run, scale.value, from.value, clock.value).map((each) => (
          <span
            key={each.kind}
            class={`timeline-piece timeline-${each.kind} timeline-${run.status}`}
            style={{ left: `${each.at * 100}%`, width: `${each.width * 100}%` }}
          />
        ))}
      </span>
      <span role="gridcell" class="timeline-length number">{lengthOf(run, clock)}</span>
      <span role="gridcell" class="timeline-cost number">{run.cost === null ? "–" : money(run.cost, run.currency)}</span>
    </div>
  );
}

function shortModel(run: Summary): string {
  return run.model.replace(`${run.namespace}/`, "");
}

function lengthOf(run: Summary, clock: ReadonlySignal<number>): string {
  if (run.started_at === null) return ended(run.status) ? "–" : "waits";
  if (run.active_seconds !== null && run.completed_at !== null) return length(run.active_seconds);
  const end = run.completed_at === null ? clock.value : Date.parse(run.completed_at);
  return length(Math.max(0, end - Date.parse(run.started_at)) / 1000);
}

function Fold({ node, folded }: { node: Node; folded: Signal<ReadonlySet<string>> }) {
  if (node.below === 0) return <span class="timeline-fold" />;
  return (
    <button
      type="button"
      tabIndex={-1}
      class="timeline-fold"
      aria-label={node.folded ? `Unfold ${count(node.below, "run")}` : `Fold ${count(node.below, "run")}`}
      title={count(node.below, "run")}
      onClick={() => fold(folded, node.run.id, !node.folded)}
    >
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line">
        <path d={node.folded ? "M6 4l4 4-4 4" : "M4 6l4 4 4-4"} />
      </svg>
    </button>
  );
}

function fold(folded: Signal<ReadonlySet<string>>, id: string, yes: boolean): void {
  const next = new Set(folded.peek());
  if (yes) next.add(id);
  else next.delete(id);
  folded.value = next;
}

interface Keys {
  all: Node[];
  index: number;
  folded: Signal<ReadonlySet<string>>;
  moveTo: (to: number) => void;
}

function pressed(event: KeyboardEvent, { all, index, folded, moveTo }: Keys): void {
  const node = all[index];
  if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
  const { id } = node.run;
  const parent = all.findIndex((each) => each.run.id === node.run.parent);
  const doing: Record<string, () => void> = {
    ArrowDown: () => moveTo(index + 1),
    ArrowUp: () => moveTo(index - 1),
    PageDown: () => moveTo(index + 10),
    PageUp: () => moveTo(index - 10),
    Home: () => moveTo(0),
    End: () => moveTo(all.length - 1),
    ArrowRight: () => (node.folded ? fold(folded, id, false) : node.below > 0 && moveTo(index + 1)),
    ArrowLeft: () => (node.below > 0 && !node.folded ? fold(folded, id, true) : parent >= 0 && moveTo(parent)),
    Enter: () => go(href(`predictions/${id}`)),
  };
  const found = doing[event.key];
  if (!found || (event.target as Element).closest("button")) return;
  event.preventDefault();
  batch(found);
}

function showRow(box: HTMLElement, index: number, height: number): void {
  const top = index * height;
  const room = box.clientHeight - 2 * height;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top > box.scrollTop + room) box.scrollTop = top - room;
}

/** A row that was not near is drawn only after the scrolling. */
function focusSoon(box: HTMLElement, id: string, tries = 5): void {
  requestAnimationFrame(() => {
    const row = box.querySelector<HTMLElement>(`[data-run="${CSS.escape(id)}"]`);
    if (row) row.focus();
    else if (tries > 0) focusSoon(box, id, tries - 1);
  });
}

function useNarrow(): Signal<boolean> {
  const narrow = useSignal(NARROW.matches);
  useEffect(() => {
    const changed = () => {
      narrow.value = NARROW.matches;
    };
    NARROW.addEventListener("change", changed);
    return () => NARROW.removeEventListener("change", changed);
  }, [narrow]);
  return narrow;
}

/** What is seen of a box: from where, and how much. */
function useSeen(box: RefObject<HTMLDivElement | null>): Signal<{ top: number; height: number }> {
  const seen = useSignal({ top: 0, height: 800 });
  useLayoutEffect(() => {
    const here = box.current;
    if (!here) return undefined;
    const look = () => {
      seen.value = { top: here.scrollTop, height: here.clientHeight };
    };
    look();
    here.addEventListener("scroll", look, { passive: true });
    const sizes = new ResizeObserver(look);
    sizes.observe(here);
    return () => {
      here.removeEventListener("scroll", look);
      sizes.disconnect();
    };
  }, [box, seen]);
  return seen;
}
