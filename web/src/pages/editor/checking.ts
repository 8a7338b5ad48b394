/** Asks the API about a source while it is written. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, Problem } from "../../api/client";
import { type Files, sourceOf, USUAL_ENTRYPOINT } from "./draft";

/** Something that is wrong with a source, and where. */
export interface Wrong {
  detail: string;
  file?: string;
  line?: number;
}

interface Answer {
  valid: boolean;
  openapi_schema: unknown;
  errors: Wrong[];
}

export interface Checked {
  state: "checking" | "valid" | "wrong" | "unknown";
  /** The last schema that was read; it stays while there are errors. */
  schema: unknown;
  errors: Wrong[];
  /** Why it could not be checked. */
  why: string;
}

const QUIET_MS = 500;

/** What is wrong with a source, half a second after the last change; only the latest answer counts. */
export function useCheck(files: Files, entrypoint: string, namespace: string) {
  const checked = useSignal<Checked>({ state: "checking", schema: null, errors: [], why: "" });
  useEffect(() => {
    const asking = new AbortController();
    checked.value = { ...checked.peek(), state: "checking" };
    const timer = setTimeout(() => {
      const json = { ...sourceOf(files), entrypoint: entrypoint || USUAL_ENTRYPOINT };
      ask<Answer>("/check", namespace, { method: "POST", json, signal: asking.signal }).then(
        (answer) => {
          if (asking.signal.aborted) return;
          checked.value = {
            state: answer.valid ? "valid" : "wrong",
            schema: answer.openapi_schema ?? checked.peek().schema,
            errors: answer.errors,
            why: "",
          };
        },
        (error: Error) => {
          if (!asking.signal.aborted) checked.value = failed(error, checked.peek().schema);
        },
      );
    }, QUIET_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `checked` is always the same signal
  }, [files, entrypoint, namespace]);
  return checked;
}

function failed(error: Error, schema: unknown): Checked {
  if (error instanceof Problem && (error.status === 400 || error.status === 413 || error.status === 422)) {
    const errors = error.errors.length > 0 ? error.errors : [{ detail: error.message }];
    return { state: "wrong", schema, errors: errors.map(({ detail }) => ({ detail })), why: "" };
  }
  return { state: "unknown", schema, errors: [], why: error.message };
}
