/** Makes a chart and a table of a usage report. */

import type { Series } from "../../parts/chart-scale";

export interface Sums {
  predictions: number;
  active_milliseconds: number;
  output_items: number;
  input_tokens: number;
  output_tokens: number;
  cost: string;
  currency: string;
}

export type Row = Sums & { day?: string; namespace?: string; pipeline?: string; model?: string };

export interface Report {
  from: string | null;
  to: string | null;
  by: string[];
  rows: Row[];
  totals: Sums[];
}

export interface Period {
  period: string;
  closed_at: string;
  closed_by: string;
  records: number | null;
  sums: { currency: string; cost: string }[] | null;
  sha256: string | null;
}

export interface Verified extends Period {
  matches: boolean;
  now: { records: number | null; sha256: string | null };
}

export type By = "day" | "pipeline" | "model" | "namespace";
export type Shown = "cost" | "predictions" | "time";

export const OTHERS = "Others";

/** The number of a row that is shown. */
export function valueOf(row: Sums, shown: Shown): number {
  if (shown === "predictions") return row.predictions;
  return shown === "time" ? row.active_milliseconds / 1000 : Number(row.cost);
}

export interface Group {
  name: string;
  predictions: number;
  seconds: number;
  cost: number;
}

/** What each group has in all, the largest first. */
export function groupsOf(rows: readonly Row[], by: By, shown: Shown): Group[] {
  const found = new Map<string, Group>();
  for (const row of rows) {
    const name = row[by] ?? "";
    const group = found.get(name) ?? { name, predictions: 0, seconds: 0, cost: 0 };
    group.predictions += row.predictions;
    group.seconds += row.active_milliseconds / 1000;
    group.cost += Number(row.cost);
    found.set(name, group);
  }
  const size = (group: Group) =>
    ({ cost: group.cost, predictions: group.predictions, time: group.seconds })[shown];
  const every = [...found.values()];
  if (by === "day") return every.toSorted((one, other) => one.name.localeCompare(other.name));
  return every.toSorted((one, other) => size(other) - size(one) || one.name.localeCompare(other.name));
}

/** Bars by days: one piece for each of the largest groups, and one for all others. */
export function seriesOf(
  rows: readonly Row[],
  days: readonly string[],
  by: By,
  shown: Shown,
  most: number,
): Series[] {
  const names = by === "day" ? ["All"] : groupsOf(rows, by, shown).map((group) => group.name);
  const own = names.length > most ? names.slice(0, most - 1) : names;
  const series = own.map((name) => ({ name, values: days.map(() => 0) }));
  if (own.length < names.length) series.push({ name: OTHERS, values: days.map(() => 0) });
  const places = new Map(own.map((name, index) => [name, index]));
  const dayPlaces = new Map(days.map((day, index) => [day, index]));
  for (const row of rows) {
    const day = dayPlaces.get(row.day ?? "");
    const place = by === "day" ? 0 : (places.get(row[by] ?? "") ?? series.length - 1);
    const values = series[place]?.values;
    if (day !== undefined && values) values[day] = (values[day] ?? 0) + valueOf(row, shown);
  }
  return series;
}
