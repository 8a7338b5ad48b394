/** Summaries for tests. */

import type { Summary } from "./types";

const ONE: Summary = {
  id: "",
  kind: "pipeline",
  model: "a/draw",
  version: "v",
  status: "succeeded",
  reason: null,
  error: null,
  name: "",
  namespace: "a",
  depth: 1,
  parent: null,
  root: "r",
  created_at: "2026-11-01T00:00:00Z",
  started_at: null,
  completed_at: null,
  active_seconds: null,
  cost: null,
  currency: "USD",
  inputs: [],
  created_by: null,
  data_removed: false,
};

/** A summary with this id, and what else the test needs. */
export function made(id: string, words: Partial<Summary> = {}): Summary {
  return { ...ONE, id, name: id, ...words };
}
