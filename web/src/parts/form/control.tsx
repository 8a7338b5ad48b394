/** The control of one field: what it shows is what the input says, else its default. */

import { ListControl } from "./list";
import { type Json, parse, same } from "./json";
import { RawText } from "./raw";
import type { Field, Shape } from "./schema";
import type { FormState } from "./state";
import { BlankSwitch, ItemControl } from "./items";

export interface ControlOf {
  state: FormState;
  field: Field;
  id: string;
  /** Ids of what describes it. */
  about: string;
  invalid: boolean;
  namespace: string;
}

export function Control(props: ControlOf) {
  const { state, field, invalid } = props;
  const given = state.input.value.get(field.name);
  const value = given === undefined ? field.default : given;
  const set = (next: Json | undefined) => state.set(field, next);
  const nothing = canBeNothing(field);
  return (
    <>
      {given === null && nothing ? (
        <p class="quiet small">Nothing is sent in its place (null).</p>
      ) : fits(field, value) ? (
        <Fitting {...props} value={value} set={set} />
      ) : (
        <>
          <p class="field-help">What is given is no {field.words}: it is shown as JSON.</p>
          <JsonControl {...props} value={value} set={set} />
        </>
      )}
      {nothing && (
        <label class="form-switch">
          <input
            type="checkbox"
            checked={given === null}
            onChange={(event) => set(event.currentTarget.checked ? null : undefined)}
          />
          Nothing (null) instead of the default
        </label>
      )}
      {(!field.required || given !== undefined || invalid) && <BlankSwitch field={field} given={given} set={set} />}
    </>
  );
}

type Fitted = ControlOf & { value: Json | undefined; set: (next: Json | undefined) => void };

function Fitting(props: Fitted) {
  const { field, value, set, id, about, invalid, namespace, state } = props;
  if (field.kind === "json") return <JsonControl {...props} />;
  if (field.kind === "list") return <ListControl {...props} />;
  return (
    <ItemControl
      shape={field}
      value={value}
      optional={!field.required && field.default === undefined}
      label={`${id}-label`}
      set={(next) => set(next === "" && field.default === undefined ? undefined : next)}
      id={id}
      about={about}
      invalid={invalid}
      namespace={namespace}
      uploads={state.uploads}
    />
  );
}

/** Any JSON: its text stays as it is typed; what is no JSON yet blocks sending it. */
function JsonControl({ state, field, value, set, id, about, invalid }: Fitted) {
  const broken = state.broken.value.get(field.name);
  return (
    <RawText
      id={id}
      about={about}
      invalid={invalid}
      text={broken ?? (value === undefined || value === null ? "" : state.written(field.name, value))}
      rows={4}
      onText={(text) => {
        if (text.trim() === "") {
          set(undefined);
          return;
        }
        try {
          const found = parse(text);
          state.remember(field.name, text);
          set(found);
        } catch {
          state.mend(field.name, text);
        }
      }}
    />
  );
}

/** Whether null says something that leaving out doesn't. */
function canBeNothing(field: Field): boolean {
  return field.nullable && field.default !== undefined && field.default !== null;
}

/** Whether a control can show a value without losing any of it. */
export function fits(shape: Shape, value: Json | undefined): boolean {
  if (value === undefined || value === null) return true;
  const structured = Array.isArray(value) || value instanceof Map;
  switch (shape.kind) {
    case "json":
      return true;
    case "list":
      return Array.isArray(value) && value.every((each) => each !== null && shape.item && fits(shape.item, each));
    case "boolean":
      return typeof value === "boolean";
    case "choice":
      return shape.choices.some((each) => same(each, value));
    case "secret":
      return typeof value === "string" || value instanceof Map;
    case "text":
    case "file":
      return typeof value === "string";
    case "integer":
    case "number":
      return !structured && typeof value !== "boolean";
  }
}
