/** Spans of whole days. Usage is counted by days of UTC, whatever zone the reader is in. */

export const DAY_MS = 86_400_000;
const MOST_DAYS = 400;

export interface Range {
  /** The first day, "2026-11-01". */
  from: string;
  /** The day after the last one. */
  to: string;
}

export const RANGES = [
  ["", "This month"],
  ["last-month", "Last month"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["custom", "From … to …"],
] as const;

/** A day in UTC. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

function month(at: number, months: number): number {
  const day = new Date(at);
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + months, 1);
}

/** The span that the URL says; one that can't be read is this month. `last` is a day, inclusive. */
export function rangeOf(name: string, first: string, last: string, now: number): Range {
  const tomorrow = Math.floor(now / DAY_MS) * DAY_MS + DAY_MS;
  if (name === "last-month") return { from: dayOf(month(now, -1)), to: dayOf(month(now, 0)) };
  if (name === "7d") return { from: dayOf(tomorrow - 7 * DAY_MS), to: dayOf(tomorrow) };
  if (name === "30d") return { from: dayOf(tomorrow - 30 * DAY_MS), to: dayOf(tomorrow) };
  if (name === "custom" && !customProblem(first, last)) {
    return { from: first, to: dayOf(Date.parse(last) + DAY_MS) };
  }
  return { from: dayOf(month(now, 0)), to: dayOf(month(now, 1)) };
}

/** What is wrong with two chosen days; "" if nothing. */
export function customProblem(first: string, last: string): string {
  const from = isDay(first) ? Date.parse(first) : Number.NaN;
  const to = isDay(last) ? Date.parse(last) : Number.NaN;
  if (Number.isNaN(from) || Number.isNaN(to)) return "Choose two days.";
  if (to < from) return "The last day is before the first one.";
  return (to - from) / DAY_MS >= MOST_DAYS ? `At most ${MOST_DAYS} days.` : "";
}

function isDay(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text;
}

/** The last day of a span. */
export function lastOf(range: Range): string {
  return dayOf(Date.parse(range.to) - DAY_MS);
}

/** Every day of a span, also those without usage; not those still to come. */
export function daysOf(range: Range, now: number): string[] {
  const days: string[] = [];
  const end = Math.min(Date.parse(range.to), Math.floor(now / DAY_MS) * DAY_MS + DAY_MS);
  for (let at = Date.parse(range.from); at < end; at += DAY_MS) days.push(dayOf(at));
  return days;
}
