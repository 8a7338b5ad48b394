/** Which runs the list shows: in the URL for people, in the query for the API, and for live rows. */

import type { Status, Summary } from "../../api/types";

export const STATUSES: readonly Status[] = ["starting", "processing", "succeeded", "failed", "canceled"];

export interface Filters {
  status: readonly Status[];
  kind: string;
  model: string;
  q: string;
  /** Also the runs that other runs started. */
  children: boolean;
  /** Days in the reader's zone: "2026-11-01". */
  from: string;
  until: string;
}

/** The filters that a URL says. */
export function filtersOf(query: URLSearchParams): Filters {
  const told = (query.get("status") ?? "").split(",");
  const kind = query.get("kind") ?? "";
  return {
    status: STATUSES.filter((each) => told.includes(each)),
    kind: kind === "pipeline" || kind === "model" ? kind : "",
    model: query.get("model") ?? "",
    q: query.get("q") ?? "",
    children: query.get("children") === "yes",
    from: day(query.get("from")),
    until: day(query.get("until")),
  };
}

function day(text: string | null): string {
  return text && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : "";
}

/** Whether anything is filtered but what the list begins with. */
export function isFiltered(filters: Filters): boolean {
  const { status, kind, model, q, from, until } = filters;
  return status.length > 0 || [kind, model, q, from, until].some((each) => each !== "");
}

/** The parameters of the URL without any filter. */
export const CLEARED = { status: null, kind: null, model: null, q: null, from: null, until: null } as const;

/** The query of the API. */
export function asked(filters: Filters): Record<string, string | null> {
  return {
    status: filters.status.join(","),
    kind: filters.kind,
    model: filters.model,
    q: filters.q.trim(),
    roots: filters.children ? null : "true",
    created_after: filters.from ? midnight(filters.from, 0).toISOString() : null,
    created_before: filters.until ? midnight(filters.until, 1).toISOString() : null,
  };
}

/** The begin of a day in the reader's zone, or of a day after it. */
export function midnight(text: string, later: number): Date {
  const [year = 0, month = 1, date = 1] = text.split("-").map(Number);
  return new Date(year, month - 1, date + later);
}

/** Whether a run that was just heard of belongs to the list. */
export function fits(run: Summary, filters: Filters): boolean {
  if (filters.status.length > 0 && !filters.status.includes(run.status)) return false;
  if (filters.kind && run.kind !== filters.kind) return false;
  if (filters.model && run.model !== filters.model) return false;
  if (!filters.children && run.parent !== null) return false;
  return within(run, filters) && contains(run, filters.q);
}

function within(run: Summary, filters: Filters): boolean {
  const created = Date.parse(run.created_at);
  if (filters.from && created < midnight(filters.from, 0).getTime()) return false;
  return !filters.until || created < midnight(filters.until, 1).getTime();
}

function contains(run: Summary, q: string): boolean {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0 || run.id.startsWith(words.join(" "))) return true;
  const text = [run.name, run.model, run.namespace, ...run.inputs.flat()].join(" ").toLowerCase();
  return words.every((each) => text.includes(each));
}
