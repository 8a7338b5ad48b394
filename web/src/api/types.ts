/** What the API answers, under the names that the pages use; generated from its description. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Summary = Omit<Schemas["Summary"], "inputs"> & { inputs: [string, string][] };
export type Status = Summary["status"];
export type Timeline = Schemas["Timeline"];
export type Stats = Schemas["Stats"];
export type Card = Schemas["Card"];
export type Me = Schemas["Me"];
export type Rights = Me["namespaces"][number]["rights"];

/** A page of a list; `next` leads to the one behind it. */
export interface Page<T> {
  previous: string | null;
  next: string | null;
  results: T[];
}
