/** What failed first in a tree of runs: mostly the cause of what failed above it. */

import type { Summary } from "../../api/types";

export interface FirstFailure {
  run: Summary;
  /** The runs from the top to it, itself not included. */
  above: Summary[];
}

/** The run that failed first; of several at the same moment the deepest. Null if none failed. */
export function firstFailure(runs: Iterable<Summary>): FirstFailure | null {
  const known = new Map<string, Summary>();
  let first: Summary | null = null;
  for (const each of runs) {
    known.set(each.id, each);
    if (each.status === "failed" && (first === null || before(each, first))) first = each;
  }
  if (first === null) return null;
  const above: Summary[] = [];
  for (let up = parentOf(first, known); up && above.length < known.size; up = parentOf(up, known)) above.push(up);
  return { run: first, above: above.toReversed() };
}

function parentOf(run: Summary, known: Map<string, Summary>): Summary | undefined {
  return run.parent === null ? undefined : known.get(run.parent);
}

function before(one: Summary, other: Summary): boolean {
  const difference = moment(one) - moment(other);
  return difference < 0 || (difference === 0 && one.depth > other.depth);
}

function moment(run: Summary): number {
  return run.completed_at === null ? Number.POSITIVE_INFINITY : Date.parse(run.completed_at);
}
