/** Where each run of a tree stands: its row, its level, and its bars on one scale of time. */

import type { Summary } from "../api/types";

export interface Node {
  run: Summary;
  /** 1 for the root. */
  level: number;
  /** How many runs are below it. */
  below: number;
  folded: boolean;
}

export interface Scale {
  /** Milliseconds since 1970 of its left end. */
  zero: number;
  /** How long it is, in milliseconds; at least 1. */
  span: number;
}

export type From = "create" | "start";

/** A piece of a bar; numbers are shares of the scale, 0 to 1. */
export interface Piece {
  kind: "waiting" | "active";
  at: number;
  width: number;
}

/** The rows that are shown, parents before children, older before younger; none below folded ones. */
export function rowsOf(runs: Iterable<Summary>, folded: ReadonlySet<string>): Node[] {
  const every = [...runs];
  const known = new Set(every.map((each) => each.id));
  const below = new Map<string, Summary[]>();
  const roots: Summary[] = [];
  for (const each of every) {
    if (each.parent === null || !known.has(each.parent)) roots.push(each);
    else listed(below, each.parent).push(each);
  }
  for (const children of below.values()) children.sort(older);
  return walked(roots.toSorted(older), below, folded);
}

function listed(map: Map<string, Summary[]>, key: string): Summary[] {
  const found = map.get(key) ?? [];
  map.set(key, found);
  return found;
}

function older(one: Summary, other: Summary): number {
  return Date.parse(one.created_at) - Date.parse(other.created_at) || (one.id < other.id ? -1 : 1);
}

// Without recursion: a tree may be hundreds of levels deep.
function walked(roots: Summary[], below: Map<string, Summary[]>, folded: ReadonlySet<string>): Node[] {
  const counts = counted(roots, below);
  const found: Node[] = [];
  const stack = roots.toReversed().map((run) => ({ run, level: 1 }));
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { run, level } = next;
    const isFolded = folded.has(run.id);
    found.push({ run, level, below: counts.get(run.id) ?? 0, folded: isFolded });
    if (isFolded) continue;
    for (const child of (below.get(run.id) ?? []).toReversed()) stack.push({ run: child, level: level + 1 });
  }
  return found;
}

function counted(roots: Summary[], below: Map<string, Summary[]>): Map<string, number> {
  const order: Summary[] = [...roots];
  for (let at = 0; at < order.length; at += 1) order.push(...(below.get(order[at]?.id ?? "") ?? []));
  const counts = new Map<string, number>();
  for (const run of order.toReversed()) {
    const children = below.get(run.id) ?? [];
    counts.set(run.id, children.reduce((sum, each) => sum + 1 + (counts.get(each.id) ?? 0), 0));
  }
  return counts;
}

/** The scale on which all runs have a place; those that go on reach until `now`. */
export function scaleOf(runs: Iterable<Summary>, from: From, now: number): Scale {
  let zero = Number.POSITIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  for (const each of runs) {
    const start = from === "create" ? each.created_at : each.started_at;
    if (start !== null) zero = Math.min(zero, Date.parse(start));
    end = Math.max(end, endOf(each, now));
  }
  if (!Number.isFinite(zero)) zero = Number.isFinite(end) ? end : now;
  return { zero, span: Math.max(1, end - zero) };
}

function endOf(run: Summary, now: number): number {
  return run.completed_at === null ? now : Date.parse(run.completed_at);
}

/** The pieces of a run's bar: how long it waited for its start, and how long it was at work. */
export function piecesOf(run: Summary, scale: Scale, from: From, now: number): Piece[] {
  const share = (at: number) => Math.min(1, Math.max(0, (at - scale.zero) / scale.span));
  const piece = (kind: Piece["kind"], start: number, end: number): Piece => ({
    kind,
    at: share(start),
    width: Math.max(0, share(end) - share(start)),
  });
  const created = Date.parse(run.created_at);
  const started = run.started_at === null ? null : Date.parse(run.started_at);
  const end = endOf(run, now);
  const pieces: Piece[] = [];
  if (from === "create") pieces.push(piece("waiting", created, started ?? end));
  if (started !== null) pieces.push(piece("active", started, end));
  return pieces;
}

/** The rows to draw of a list with rows of one height, given what is seen of it. */
export function windowOf(
  count: number,
  row: number,
  top: number,
  height: number,
  beyond = 20,
): { first: number; last: number } {
  const first = Math.max(0, Math.floor(top / row) - beyond);
  return { first: Math.min(first, count), last: Math.min(count, Math.ceil((top + height) / row) + beyond) };
}

/** Moments to name on a scale, as shares of it and in seconds from its left end. */
export function ticks(span: number, most = 5): { at: number; seconds: number }[] {
  const seconds = span / 1000;
  const step = STEPS.find((each) => seconds / each <= most) ?? 86_400 * Math.ceil(seconds / 86_400 / most);
  const found: { at: number; seconds: number }[] = [];
  for (let at = 0; at <= seconds; at += step) found.push({ at: at / seconds, seconds: at });
  return found;
}

const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  14_400, 21_600, 43_200, 86_400,
];
