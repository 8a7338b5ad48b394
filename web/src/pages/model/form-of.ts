/** The form's state for one page: which version, which input, and where that came from. */

import { type Signal, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext, useEffect, useMemo } from "preact/hooks";
import { ask, askText, Problem } from "../../api/client";
import { param, setQuery } from "../../app/router";
import { me, namespace } from "../../app/session";
import { exact, get, type Json, type JsonObject, parse } from "../../parts/form/json";
import { type Field, fieldsOf } from "../../parts/form/schema";
import { FormState } from "../../parts/form/state";
import type { Shown } from "./model";
import { shareable } from "./shareable";
import type { Model, Prediction } from "./types";

const SAVE_MS = 400;
const REDACTED = "[redacted]";

export interface FormOf {
  state: FormState;
  /** The document of each version that was asked for. */
  documents: Signal<ReadonlyMap<string, Json>>;
  /** The run whose input fills the form. */
  rerun: Signal<Rerun | null>;
  error: Signal<Error | null>;
  /** What the reader should know of the version that is chosen; "" if nothing. */
  note: Signal<string>;
}

export interface Rerun {
  id: string;
  version: string;
  /** Fields whose secrets must be given again. */
  secrets: string[];
}

export const FormContext = createContext<FormOf | null>(null);

export function useForm(): FormOf {
  const found = useContext(FormContext);
  if (!found) throw new Error("There is no form here.");
  return found;
}

/** The form of a page: filled from the URL, or from the run that the URL names. */
export function useFormOf(shown: Shown): FormOf {
  const form = useMemo<FormOf>(
    () => ({ state: new FormState(), documents: signal(new Map()), rerun: signal(null), error: signal(null), note: signal("") }),
    [],
  );
  const rerun = param("rerun");
  useEffect(() => {
    const given = inputOfUrl();
    if (given) form.state.load(given);
    if (!rerun) return;
    void fill(form, rerun, given === null);
  }, [form, rerun]);
  const version = param("version") || form.rerun.value?.version || "";
  useEffect(() => {
    learn(form, shown, version);
  }, [form, shown, version]);
  useEffect(() => keepInUrl(form, shown), [form, shown]);
  return form;
}

/** The namespace in which a run would be: the chosen one, one's own, or that of what is called. */
export function placeOf(model: Model): string {
  if (namespace.value !== "*" && namespace.value !== "") return namespace.value;
  return me.value?.namespace ?? model.namespace;
}

/** The version that would be run, its fields, and what its document says. */
export function chosen(form: FormOf, shown: Shown): { id: string | null; document: Json | undefined; fields: Field[] | null; known: boolean } {
  const latest = get(shown.exact, "latest_version", "id");
  const id = param("version") || form.rerun.value?.version || (typeof latest === "string" ? latest : null);
  const document = id === latest ? get(shown.exact, "latest_version", "openapi_schema") : form.documents.value.get(id ?? "");
  return { id, document, fields: fieldsOf(document), known: document !== undefined };
}

function inputOfUrl(): JsonObject | null {
  const text = param("input");
  if (!text) return null;
  try {
    const found = parse(text);
    return found instanceof Map ? found : null;
  } catch {
    return null;
  }
}

/** Take over a run's input, byte for byte. */
async function fill(form: FormOf, id: string, replace: boolean): Promise<void> {
  const at = `/predictions/${encodeURIComponent(id)}`;
  try {
    const run = await ask<Prediction>(at, namespace.value);
    const found = replace ? await storedInput(at) : null;
    const secrets: string[] = [];
    if (found) {
      for (const [name, value] of found) if (value === REDACTED) secrets.push(name);
      for (const name of secrets) found.delete(name);
      form.state.load(found);
    }
    form.rerun.value = { id, version: run.version, secrets };
    form.error.value = null;
  } catch (error) {
    form.error.value = error as Error;
  }
}

async function storedInput(at: string): Promise<JsonObject> {
  const found = parse(await askText(`${at}/input`, namespace.value));
  if (!(found instanceof Map)) throw new Error("The run's input is no object.");
  return found;
}

/** Ask for a version's document, once. */
function learn(form: FormOf, shown: Shown, id: string): void {
  if (!id || id === get(shown.exact, "latest_version", "id") || form.documents.value.has(id)) return;
  askText(`${shown.path}/versions/${encodeURIComponent(id)}`, namespace.value).then(
    (text) => {
      const document = get(parse(text), "openapi_schema") ?? exact({});
      form.documents.value = new Map(form.documents.value).set(id, document);
    },
    (error: Error) => {
      // A version that was deleted can't be run: the latest one can.
      const latest = get(shown.exact, "latest_version", "id");
      if (error instanceof Problem && error.status === 404 && typeof latest === "string") {
        form.note.value = `Version ${id.slice(0, 10)} is not kept any more: the latest one will run.`;
        setQuery({ version: latest });
      } else form.error.value = error;
    },
  );
}

/** Keep the input in the URL while it is short and holds no secret. */
function keepInUrl(form: FormOf, shown: Shown): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let first = true;
  const stop = form.state.input.subscribe((input) => {
    if (first) {
      first = false;
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => {
      const words = shareable(input, chosen(form, shown).fields);
      if (words !== (param("input") || null)) setQuery({ input: words });
    }, SAVE_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
