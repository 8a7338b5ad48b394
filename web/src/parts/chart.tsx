/**
 * A chart of bars. The picture is one image for readers of screens; over it lie buttons, one a bar,
 * which the arrow keys reach, and which say their bar's value. The same numbers are in a table.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { labelled, type Series, stacked, sums, ticks } from "./chart-scale";
import { Scroll } from "./scroll";
import "./chart.css";

const HEIGHT = 220;
const TOP = 8;
const BOTTOM = 24;
/** What a character of the scale's words takes, at most. */
const CHARACTER = 7.2;
const LABEL_WIDTH = 64;
/** How many groups have a colour of their own. */
export const COLOURS = 7;

export interface ChartGiven {
  title: string;
  /** What the bars are named by, as the head of the table's first column. */
  along: string;
  labels: readonly string[];
  series: readonly Series[];
  /** A value with its unit. */
  say: (value: number) => string;
}

export function Chart(given: ChartGiven) {
  const { title, labels, series, say } = given;
  const width = useSignal(640);
  const box = useRef<HTMLDivElement>(null);
  const told = useSignal<number | null>(null);
  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.max(200, Math.round(entry.contentRect.width));
    });
    if (box.current) seen.observe(box.current);
    return () => seen.disconnect();
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `width` is always the same signal
  }, []);
  const totals = sums(series, labels.length);
  const valueOf = (at: number) => {
    const parts = series.length > 1 ? series.filter((each) => (each.values[at] ?? 0) !== 0) : [];
    const words = parts.map((each) => `${each.name} ${say(each.values[at] ?? 0)}`).join(", ");
    return `${labels[at]}: ${say(totals[at] ?? 0)}${words ? ` (${words})` : ""}`;
  };
  const shown = told.value !== null && told.value < labels.length ? told.value : null;
  return (
    <figure class="chart">
      <p class="chart-told number cut" aria-hidden="true">
        {shown === null ? <span class="quiet">{title}</span> : `${labels[shown]}: ${say(totals[shown] ?? 0)}`}
      </p>
      <div ref={box} class="chart-box">
        <Picture {...given} width={width.value} totals={totals} told={shown} />
        <Bars count={labels.length} valueOf={valueOf} tell={(at) => (told.value = at)} />
      </div>
      {series.length > 1 && <Legend series={series} told={shown} say={say} />}
      <Table {...given} totals={totals} />
    </figure>
  );
}

function Picture({
  title,
  labels,
  series,
  say,
  width,
  totals,
  told,
}: ChartGiven & { width: number; totals: number[]; told: number | null }) {
  const id = useId();
  const lines = ticks(Math.max(0, ...totals));
  const top = lines.at(-1) ?? 1;
  const high = HEIGHT - TOP - BOTTOM;
  const y = (value: number) => TOP + high * (1 - value / top);
  const left = 16 + CHARACTER * Math.max(...lines.map((line) => say(line).length));
  const step = (width - left) / Math.max(1, labels.length);
  const bar = Math.min(48, Math.max(1, step * 0.72));
  return (
    <svg role="img" aria-labelledby={id} width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`}>
      <title id={id}>{title}. The same numbers are in the table below.</title>
      {lines.map((line) => (
        <g key={line}>
          <line class="chart-line" x1={left} x2={width} y1={y(line)} y2={y(line)} />
          <text class="chart-text" x={left - 8} y={y(line)} dy="0.32em" text-anchor="end">{say(line)}</text>
        </g>
      ))}
      {told !== null && (
        <rect class="chart-at" x={left + step * told} y={TOP} width={step} height={high} />
      )}
      {labels.map((_, at) => (
        <g key={at}>
          {stacked(series, at).map((piece) => (
            <rect
              key={piece.series}
              class={`chart-${piece.series % COLOURS}`}
              x={left + step * at + (step - bar) / 2}
              y={y(piece.to)}
              width={bar}
              height={Math.max(0.5, y(piece.from) - y(piece.to))}
            />
          ))}
        </g>
      ))}
      {labelled(labels.length, width - left, LABEL_WIDTH).map((at) => {
        const middle = left + step * (at + 0.5);
        // One that would reach over the edge ends there.
        const over = middle + LABEL_WIDTH / 2 > width;
        return (
          <text
            key={at}
            class="chart-text"
            x={over ? width : middle}
            y={HEIGHT - 6}
            text-anchor={over ? "end" : "middle"}
          >
            {labels[at]}
          </text>
        );
      })}
    </svg>
  );
}

/** One button a bar: the mouse, and the arrow keys after one Tab. */
function Bars({
  count,
  valueOf,
  tell,
}: {
  count: number;
  valueOf: (at: number) => string;
  tell: (at: number | null) => void;
}) {
  const current = useSignal(0);
  const move = (event: KeyboardEvent & { currentTarget: HTMLElement }) => {
    const at = Math.min(current.value, count - 1);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined || to < 0 || to >= count) return;
    event.preventDefault();
    (event.currentTarget.children[to] as HTMLElement).focus();
  };
  return (
    <div class="chart-bars" role="group" aria-label="Values; the arrow keys go from bar to bar" onKeyDown={move}>
      {Array.from({ length: count }, (_, at) => (
        <button
          key={at}
          type="button"
          aria-label={valueOf(at)}
          tabIndex={at === Math.min(current.value, count - 1) ? 0 : -1}
          onFocus={() => {
            current.value = at;
            tell(at);
          }}
          onBlur={() => tell(null)}
          onMouseEnter={() => tell(at)}
          onMouseLeave={() => tell(null)}
          onClick={() => tell(at)}
        />
      ))}
    </div>
  );
}

/** What the colours are; while a bar is looked at, with its parts. */
function Legend({
  series,
  told,
  say,
}: {
  series: readonly Series[];
  told: number | null;
  say: ChartGiven["say"];
}) {
  return (
    <ul class="chart-legend">
      {series.map((each, index) => (
        <li key={each.name}>
          <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
            <rect class={`chart-${index % COLOURS}`} width="10" height="10" rx="2" />
          </svg>
          {each.name}
          {told !== null && <strong class="number">{say(each.values[told] ?? 0)}</strong>}
        </li>
      ))}
    </ul>
  );
}

function Table({ title, along, labels, series, say, totals }: ChartGiven & { totals: number[] }) {
  return (
    <details>
      <summary>Show as a table</summary>
      <Scroll label={title} class="chart-table">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">{along}</th>
              {series.map((each) => (
                <th key={each.name} scope="col" class="right">{each.name}</th>
              ))}
              {series.length > 1 && <th scope="col" class="right">All</th>}
            </tr>
          </thead>
          <tbody>
            {labels.map((label, at) => (
              <tr key={at}>
                <td>{label}</td>
                {series.map((each) => (
                  <td key={each.name} class="right number">{say(each.values[at] ?? 0)}</td>
                ))}
                {series.length > 1 && <td class="right number">{say(totals[at] ?? 0)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}
