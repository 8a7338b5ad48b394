/** Requests to Mayfly's public API; the session's cookie says who asks. */

import { BASE } from "./base";

/** What is wrong with one field. `pointer` is a JSON pointer into what was sent. */
export interface FieldError {
  detail: string;
  pointer?: string;
}

/** An answer that says no, or no answer at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: readonly FieldError[] = [],
  ) {
    super(detail);
  }
}

type Query = Record<string, string | number | boolean | null | undefined>;

interface Asked {
  method?: string;
  query?: Query;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is: JSON text that must stay exact, or a form. */
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const READ_AGAIN_MS = [300, 1500];

const toldSignedOut = new Set<() => void>();

/** Call back whenever the API says that nobody is signed in. */
export function onSignedOut(call: () => void): void {
  toldSignedOut.add(call);
}

/** The URL of an API path, in a namespace or ("" or "*") in none. */
export function apiUrl(path: string, namespace = "", query: Query = {}): string {
  const where = namespace === "" || namespace === "*" ? "" : `/ns/${encodeURIComponent(namespace)}`;
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") words.set(name, String(value));
  }
  const search = words.size > 0 ? `?${words}` : "";
  return `${BASE}${where}/v1${path}${search}`;
}

/** Ask the API; the answer's JSON. Throws a Problem. */
export async function ask<T>(path: string, namespace = "", asked: Asked = {}): Promise<T> {
  const response = await send(apiUrl(path, namespace, asked.query), asked);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

/** Ask the API; the answer's text, unchanged. Throws a Problem. */
export async function askText(path: string, namespace = "", asked: Asked = {}): Promise<string> {
  return (await send(apiUrl(path, namespace, asked.query), asked)).text();
}

/** Follow a list's `next` link. Its host may be another name of the same gateway. */
export async function follow<T>(link: string, signal?: AbortSignal): Promise<T> {
  const url = new URL(link, location.href);
  return (await (await send(url.pathname + url.search, { signal })).json()) as T;
}

/** Send a request to a path of this gateway. Throws a Problem. */
export async function send(url: string, asked: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...asked.headers };
  let body = asked.body;
  if (asked.json !== undefined) {
    body = JSON.stringify(asked.json);
    headers["Content-Type"] = "application/json";
  }
  const method = asked.method ?? "GET";
  // What only reads is asked again: networks change under a laptop, and gateways are replaced.
  const response = await again(method === "GET" ? READ_AGAIN_MS : [], () =>
    fetch(url, {
      method,
      headers,
      body,
      signal: asked.signal,
      credentials: "same-origin",
      cache: "no-store",
    }),
  );
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) for (const call of toldSignedOut) call();
  throw problem;
}

async function again(pauses: readonly number[], call: () => Promise<Response>): Promise<Response> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    const [pause, ...left] = pauses;
    if (pause === undefined) {
      throw new Problem(0, "No answer", "Mayfly can't be reached. Check the connection, then try again.");
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    return again(left, call);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const told = (await response.json()) as {
      title?: string;
      detail?: string;
      errors?: FieldError[];
    };
    return new Problem(
      response.status,
      told.title ?? response.statusText,
      told.detail ?? `Mayfly answered ${response.status}.`,
      told.errors ?? [],
    );
  } catch {
    return new Problem(response.status, response.statusText, `Mayfly answered ${response.status}.`);
  }
}
