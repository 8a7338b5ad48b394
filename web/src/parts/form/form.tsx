/** A form made from a version's schema; the same input can be written as raw JSON. */

import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import "./form.css";
import { Control } from "./control";
import { same } from "./json";
import { RawText } from "./raw";
import { type Field, isRadio } from "./schema";
import type { FormState } from "./state";

/**
 * @param fields what the schema names; null: the schema is not known, and only JSON can be written
 */
export function Form({ state, fields, namespace }: { state: FormState; fields: Field[] | null; namespace: string }) {
  const why = useSignal("");
  const raw = state.raw.value !== null || fields === null;
  const whole = state.errors.value.get("");
  const extra = fields === null || raw ? [] : extraNames(state, fields);
  return (
    <div class="stack form">
      <div class="row form-head">
        <h2>Input</h2>
        {fields !== null && (
          <button
            type="button"
            class="button button-quiet"
            aria-pressed={raw}
            onClick={() => {
              why.value = state.toggle();
            }}
          >
            {raw ? "Show the form" : "Show as JSON"}
          </button>
        )}
      </div>
      {why.value && <p class="field-error" role="alert">{why.value}</p>}
      {whole && <p class="field-error" role="alert">{whole}</p>}
      {fields === null && <p class="quiet">The inputs are not known: write them as JSON.</p>}
      {raw ? (
        <RawInput state={state} typed={() => { why.value = ""; }} />
      ) : (
        fields?.map((field) => <FormField key={field.name} state={state} field={field} namespace={namespace} />)
      )}
      {raw && <OtherErrors state={state} />}
      {fields?.length === 0 && !raw && <p class="quiet">It takes no input.</p>}
      {extra.length > 0 && (
        <p class="notice small">
          Also sent, though this version does not name it: {extra.map((name) => <code key={name}>{name} </code>)}
          <button type="button" class="button button-quiet" onClick={() => dropNames(state, extra)}>Leave out</button>
        </p>
      )}
    </div>
  );
}

function extraNames(state: FormState, fields: Field[]): string[] {
  const known = new Set(fields.map((each) => each.name));
  return [...state.input.value.keys()].filter((name) => !known.has(name));
}

function dropNames(state: FormState, names: string[]): void {
  const next = new Map(state.input.value);
  for (const name of names) next.delete(name);
  state.input.value = next;
}

function RawInput({ state, typed }: { state: FormState; typed: () => void }) {
  return (
    <RawText
      label="The input as JSON"
      text={state.raw.value ?? "{}"}
      rows={14}
      onText={(text) => {
        state.raw.value = text;
        state.readRaw(text);
        typed();
      }}
    />
  );
}

/** In the raw view no field has a place for its error: they are listed. */
function OtherErrors({ state }: { state: FormState }) {
  const found = [...state.errors.value].filter(([pointer]) => pointer !== "");
  if (found.length === 0) return null;
  return (
    <ul class="field-error" role="alert">
      {found.map(([pointer, words]) => (
        <li key={pointer}><code>{pointer.slice(1)}</code> {words}</li>
      ))}
    </ul>
  );
}

function FormField({ state, field, namespace }: { state: FormState; field: Field; namespace: string }) {
  const id = useId();
  const error = state.errors.value.get(`/${field.name}`);
  const given = state.input.value.has(field.name);
  const about = [field.help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ");
  const grouped = field.kind === "list" || isRadio(field);
  const head = (
    <span class="label form-label">
      {grouped ? <span id={`${id}-label`}>{field.title}</span> : <label for={id} id={`${id}-label`}>{field.title}</label>}
      {field.required && <span class="form-required">required</span>}
      {field.deprecated && <span class="badge">deprecated</span>}
      <span class="form-type">
        {field.title === field.name || <code>{field.name}</code>} {field.words}
      </span>
      {given && field.default !== undefined && !same(field.default, null) && (
        <button type="button" class="form-reset" onClick={() => reset(state, field)}>
          Back to the default
        </button>
      )}
    </span>
  );
  const round = `${state.round.value}`;
  return (
    <div class={isCheckbox(field, state) ? "field form-boolean" : "field"} {...(grouped ? { role: "group", "aria-labelledby": `${id}-label` } : {})}>
      {head}
      <Control key={round} state={state} field={field} id={id} about={about} invalid={error !== undefined} namespace={namespace} />
      {field.help && <p class="field-help" id={`${id}-help`}>{field.help}</p>}
      {error && <p class="field-error" id={`${id}-error`}>{error}</p>}
    </div>
  );
}

function isCheckbox(field: Field, state: FormState): boolean {
  const given = state.input.value.get(field.name);
  const optional = !field.required && field.default === undefined;
  return field.kind === "boolean" && !optional && (given === undefined || typeof given === "boolean");
}

/** Back to the default: the text in a control begins again too. */
function reset(state: FormState, field: Field): void {
  state.set(field, undefined);
  state.round.value += 1;
}
