/** What the API answers, under the names that the pages use. */

export type Status = "starting" | "processing" | "succeeded" | "failed" | "canceled";

export interface Summary {
  id: string;
  kind: "pipeline" | "model";
  model: string;
  version: string;
  status: Status;
  reason: string | null;
  error: string | null;
  name: string;
  namespace: string;
  depth: number;
  parent: string | null;
  root: string;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  active_seconds: number | null;
  cost: string | null;
  currency: string;
  inputs: [string, string][];
  created_by: string | null;
  data_removed: boolean;
}

export interface Page<T> {
  previous: string | null;
  next: string | null;
  results: T[];
}

export interface Rights {
  read: boolean;
  run: boolean;
  cancel: boolean;
  publish: boolean;
  models: boolean;
  correct: boolean;
}

export interface Me {
  name: string;
  kind: "user" | "service_account" | "run";
  groups: string[];
  namespace: string | null;
  namespaces: {
    name: string;
    rights: Rights;
    budget: { amount: string; spent: string; left: string } | null;
  }[];
  all_namespaces: boolean;
  home: string | null;
  expires_at: string | null;
  signed_in: "token" | "cookie" | "proxy";
  version: string;
  currency: string;
  warnings: string[];
}
