/** What the API says of one prediction, beyond its summary. */

import type { Status } from "../../api/types";

export interface Detail {
  id: string;
  kind: "pipeline" | "model";
  model: string;
  version: string;
  status: Status;
  input: unknown;
  output: unknown;
  error: string | null;
  reason: string | null;
  metrics: { predict_time?: number; total_time?: number; input_token_count?: number; output_token_count?: number };
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  deadline?: string;
  webhook?: string;
  data_removed: boolean;
  namespace: string;
  name: string;
  depth: number;
  parent: string | null;
  root: string;
  cost: string | null;
  currency: string;
  downstream_cost?: string;
  total_cost?: string | null;
  final?: boolean;
}

export interface Source {
  version: string;
  entrypoint: string;
  files: Record<string, string>;
}

export interface Charge {
  meter: string;
  quantity: string;
  unit_price: string;
  amount: string;
}

export interface Correction {
  record_id: string;
  recorded_at: string;
  cost: string;
  why: string;
  author: string;
}

export interface Bill {
  currency: string;
  charges: Charge[];
  contradictions: { flag: string; sentence: string }[];
  billed: string;
  corrections: Correction[];
  cost: string;
  downstream: { id: string; model: string; depth: number; outcome: string; active_milliseconds: number; cost: string }[];
  downstream_predictions: number;
  downstream_cost: string;
  total_cost: string;
  final: boolean;
}
