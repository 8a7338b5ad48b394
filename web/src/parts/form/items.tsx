/** Controls of single values: text, numbers, yes or no, choices, secrets. Files have their own. */

import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { compare, numberFrom, stepped } from "./check";
import { FileControl } from "./file";
import { Exact, get, type Json, same, write } from "./json";
import { type Field, isRadio, type Shape } from "./schema";

export interface ItemOf {
  shape: Shape;
  value: Json | undefined;
  /** Whether "not set" is one of the answers. */
  optional: boolean;
  set: (next: Json | undefined) => void;
  id: string;
  /** Id of what names it, for groups. */
  label?: string;
  /** Its name in words, where nothing on the page names it. */
  name?: string;
  about: string;
  invalid: boolean;
  namespace: string;
  uploads: Signal<number>;
}

export function ItemControl(props: ItemOf) {
  switch (props.shape.kind) {
    case "integer":
    case "number":
      return <NumberControl {...props} />;
    case "boolean":
      return <BooleanControl {...props} />;
    case "choice":
      return isRadio(props.shape) ? <RadioControl {...props} /> : <SelectControl {...props} />;
    case "file":
      return <FileControl {...props} />;
    case "secret":
      return <SecretControl {...props} />;
    default:
      return <TextControl {...props} />;
  }
}

function names({ id, about, invalid, name }: ItemOf) {
  return { id, "aria-describedby": about || undefined, "aria-invalid": invalid, "aria-label": name };
}

/** As high as its text, up to a limit. */
function fitHeight(box: HTMLTextAreaElement): void {
  box.style.height = "auto";
  // Two more for the border: a scroll height has none.
  if (box.scrollHeight > 0) box.style.height = `${Math.min(box.scrollHeight + 2, 480)}px`;
}

/** One line that grows with what is typed. */
function TextControl(props: ItemOf) {
  const { value, set } = props;
  const area = useRef<HTMLTextAreaElement>(null);
  const text = typeof value === "string" ? value : "";
  useLayoutEffect(() => {
    if (area.current) fitHeight(area.current);
  }, [text]);
  useEffect(() => {
    const box = area.current;
    if (!box) return;
    // It wraps otherwise when its width changes, and has no height while its tab is hidden.
    let width = box.offsetWidth;
    const observer = new ResizeObserver(() => {
      if (box.offsetWidth !== width) fitHeight(box);
      width = box.offsetWidth;
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  return (
    <textarea
      {...names(props)}
      ref={area}
      class="form-text"
      rows={1}
      value={text}
      onInput={(event) => set(event.currentTarget.value)}
    />
  );
}

/** A number as it is typed: its digits are never rounded. Arrow keys step it. */
function NumberControl(props: ItemOf) {
  const { value, set, shape } = props;
  const typed = useSignal<string | null>(null);
  const shown = typed.value ?? textOf(value);
  const give = (text: string) => set(text.trim() === "" ? undefined : (numberFrom(text) ?? text));
  const step = (up: boolean) => {
    const from = numberFrom(shown)?.text ?? shape.minimum ?? "0";
    const next = stepped(from, shape, up);
    typed.value = next;
    give(next);
  };
  const ranged = shape.minimum !== null && shape.maximum !== null;
  return (
    <div class={ranged ? "form-range" : undefined}>
      <input
        {...names(props)}
        type="text"
        class="number"
        inputMode={shape.kind === "integer" ? "numeric" : "decimal"}
        autocomplete="off"
        value={shown}
        placeholder={bounds(shape)}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          give(event.currentTarget.value);
        }}
        onBlur={() => {
          typed.value = null;
        }}
        onKeyDown={(event) => {
          if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
          event.preventDefault();
          step(event.key === "ArrowUp");
        }}
      />
      {ranged && <Slider shape={shape} value={shown} name={props.name} set={give} typed={typed} label={props.label} />}
    </div>
  );
}

function Slider({
  shape,
  value,
  name,
  label,
  set,
  typed,
}: {
  shape: Shape;
  value: string;
  name?: string;
  label?: string;
  set: (text: string) => void;
  typed: Signal<string | null>;
}) {
  const low = shape.minimum ?? "0";
  const high = shape.maximum ?? "0";
  // A slider holds doubles: where those can't tell whole numbers apart, it would say wrong ones.
  if (!Number.isSafeInteger(Math.trunc(Number(low))) || !Number.isSafeInteger(Math.trunc(Number(high)))) return null;
  const span = Number(high) - Number(low);
  const step = shape.kind === "integer" ? 1 : niceStep(span);
  const number = numberFrom(value)?.text;
  const within = number !== undefined && compare(number, low) >= 0 && compare(number, high) <= 0;
  return (
    <input
      type="range"
      aria-label={name ? `${name}, slider` : undefined}
      aria-labelledby={name ? undefined : label}
      min={low}
      max={high}
      step={step}
      value={within ? number : low}
      class={within ? undefined : "form-unset"}
      onInput={(event) => {
        typed.value = null;
        set(event.currentTarget.value);
      }}
    />
  );
}

/** About a hundred steps, of a round size. */
function niceStep(span: number): number {
  return span > 0 ? 10 ** Math.floor(Math.log10(span / 50)) : 1;
}

function bounds(shape: Shape): string {
  if (shape.minimum !== null && shape.maximum !== null) return `${shape.minimum} to ${shape.maximum}`;
  if (shape.minimum !== null) return `at least ${shape.minimum}`;
  return shape.maximum !== null ? `at most ${shape.maximum}` : "";
}

function textOf(value: Json | undefined): string {
  if (value instanceof Exact) return value.text;
  return typeof value === "string" ? value : "";
}

function BooleanControl(props: ItemOf) {
  const { value, set, optional } = props;
  if (optional) {
    const shown = typeof value === "boolean" ? String(value) : "";
    return (
      <select
        {...names(props)}
        value={shown}
        onChange={(event) => {
          const chosen = event.currentTarget.value;
          set(chosen === "" ? undefined : chosen === "true");
        }}
      >
        <option value="">Not set</option>
        <option value="true">Yes</option>
        <option value="false">No</option>
      </select>
    );
  }
  return (
    <span class="form-check">
      <input
        {...names(props)}
        type="checkbox"
        checked={value === true}
        onChange={(event) => set(event.currentTarget.checked)}
      />
    </span>
  );
}

/** Choices stay what they are: the place of one in the list is the control's value. */
function indexOf({ shape, value }: ItemOf): string {
  const index = shape.choices.findIndex((each) => same(each, value));
  return index < 0 ? "" : String(index);
}

function RadioControl(props: ItemOf) {
  const { shape, set, id, optional, about } = props;
  const chosen = indexOf(props);
  const options = shape.choices.map((each, index) => [String(index), words(each)] as const);
  return (
    <div class="form-choices" aria-describedby={about || undefined}>
      {(optional ? [["", "Not set"] as const, ...options] : options).map(([key, label]) => (
        <label key={key} class="form-choice">
          <input
            type="radio"
            name={id}
            value={key}
            checked={chosen === key}
            onChange={() => set(key === "" ? undefined : shape.choices[Number(key)])}
          />
          {label}
        </label>
      ))}
    </div>
  );
}

function SelectControl(props: ItemOf) {
  const { shape, set, optional } = props;
  const chosen = indexOf(props);
  return (
    <select
      {...names(props)}
      value={chosen}
      onChange={(event) => {
        const key = event.currentTarget.value;
        set(key === "" ? undefined : shape.choices[Number(key)]);
      }}
    >
      {(optional || chosen === "") && <option value="">{optional ? "Not set" : "Choose one"}</option>}
      {shape.choices.map((each, index) => (
        <option key={index} value={String(index)}>{words(each)}</option>
      ))}
    </select>
  );
}

function words(value: Json): string {
  if (value === "") return "(empty)";
  return typeof value === "string" ? value : write(value);
}

function SecretControl(props: ItemOf) {
  const { value, set } = props;
  const name = get(value, "secretKeyRef", "name");
  if (value instanceof Map) {
    const key = get(value, "secretKeyRef", "key");
    return (
      <div class="row">
        <span>
          {typeof name === "string" && typeof key === "string" ? (
            <>The key <code>{key}</code> of the Secret <code>{name}</code></>
          ) : (
            <code>{write(value)}</code>
          )}
        </span>
        <button type="button" class="button button-quiet" onClick={() => set(undefined)}>Give another</button>
      </div>
    );
  }
  return (
    <input
      {...names(props)}
      type="password"
      autocomplete="new-password"
      spellcheck={false}
      value={typeof value === "string" ? value : ""}
      onInput={(event) => set(event.currentTarget.value === "" ? undefined : event.currentTarget.value)}
    />
  );
}

/** Where blank can mean two things, a switch says which: an empty value, or nothing at all. */
export function BlankSwitch({
  field,
  given,
  set,
}: {
  field: Field;
  given: Json | undefined;
  set: (next: Json | undefined) => void;
}) {
  const empty: Json | null = field.kind === "text" ? "" : field.kind === "list" && field.minItems === 0 ? [] : null;
  if (empty === null || field.default !== undefined) return null;
  if (given !== undefined && !same(given, empty)) return null;
  return (
    <label class="form-switch">
      <input
        type="checkbox"
        checked={given !== undefined}
        onChange={(event) => set(event.currentTarget.checked ? empty : undefined)}
      />
      {field.kind === "text" ? "Send an empty text" : "Send an empty list"}
    </label>
  );
}
