/** What the API answers about Pipelines and Models, and predictions in full. */

import type { Status } from "../../api/types";

export interface Stats {
  runs: number;
  succeeded: number;
  failed: number;
  canceled: number;
  success_rate: number | null;
  seconds: { low?: number; median: number; high?: number } | null;
  cost: { low?: string; median: string; high?: string } | null;
  last_run_at: string | null;
  currency?: string;
  recent: Recent[];
}

export interface Recent {
  id: string;
  status: Status;
  created_at: string;
  active_seconds: number | null;
  cost: string | null;
}

/** A Pipeline or Model in the catalog. */
export interface Card {
  owner: string;
  name: string;
  kind: "pipeline" | "model";
  namespace: string;
  alias: string | null;
  description: string;
  visibility: "public" | "private";
  latest_version: string | null;
  created_at: string;
  run_count: number;
  hardware: string | null;
  problem: string | null;
  stats: Stats;
}

export interface Version {
  id: string;
  created_at: string;
  openapi_schema: unknown;
}

/** A Pipeline or Model on its own page. */
export interface Model extends Omit<Card, "latest_version" | "stats"> {
  latest_version: Version | null;
  default_example: { id: string; input: unknown } | null;
}

export interface Prediction {
  id: string;
  version: string;
  model: string;
  status: Status;
  reason: string | null;
  error: string | null;
  output: unknown;
  logs: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  cost: string | null;
  total_cost: string | null;
  final?: boolean;
  currency: string;
  metrics: Record<string, number>;
  namespace: string;
  data_removed: boolean;
}
