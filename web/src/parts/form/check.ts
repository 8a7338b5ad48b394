/** What is wrong with an input, as far as a browser can say it at once; the API checks everything. */

import { Exact, type Json, type JsonObject, same } from "./json";
import type { Field, Shape } from "./schema";

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const WHOLE = /^-?\d+$/;
const MAX_ITEM_BYTES = 65_536;

/** A text as a number if it is one. What almost is one (".5", "+3", "05") is made one. */
export function numberFrom(text: string): Exact | null {
  let tidy = text.trim().replace(/^\+/, "").replace(/^(-?)\./, "$10.").replace(/\.(?=$|[eE])/, "");
  tidy = tidy.replace(/^(-?)0+(?=\d)/, "$1");
  return NUMBER.test(tidy) ? new Exact(tidy) : null;
}

/** Which of two numbers is larger, by their digits where both are whole: negative, 0 or positive. */
export function compare(one: string, other: string): number {
  if (WHOLE.test(one) && WHOLE.test(other)) {
    const difference = BigInt(one) - BigInt(other);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }
  return Number(one) - Number(other);
}

/** A number one step up or down, within its bounds. Whole numbers stay exact, however long. */
export function stepped(text: string, shape: Shape, up: boolean): string {
  let next: string;
  if (WHOLE.test(text)) next = String(BigInt(text) + (up ? 1n : -1n));
  else {
    const digits = Math.min(12, /\.(\d+)/.exec(text)?.[1]?.length ?? 0);
    next = (Number(text) + (up ? 1 : -1) * 10 ** -digits).toFixed(digits);
  }
  if (shape.maximum !== null && compare(next, shape.maximum) > 0) return shape.maximum;
  if (shape.minimum !== null && compare(next, shape.minimum) < 0) return shape.minimum;
  return next;
}

/** Problems by JSON pointer below the input: "/prompt", "/tags/2". */
export function problemsOf(fields: readonly Field[], input: JsonObject): Map<string, string> {
  const found = new Map<string, string>();
  for (const field of fields) {
    const value = input.get(field.name);
    const pointer = pointerOf(field.name);
    if (value === undefined) {
      if (field.required) found.set(pointer, "This is required.");
    } else examine(field, value, pointer, found);
  }
  return found;
}

function examine(shape: Shape, value: Json, pointer: string, found: Map<string, string>): void {
  if (shape.kind === "list" && shape.item && Array.isArray(value)) {
    const count = value.length;
    const most = shape.maxItems ?? Number.POSITIVE_INFINITY;
    if (count < shape.minItems) found.set(pointer, `At least ${shape.minItems} are needed, there are ${count}.`);
    if (count > most) found.set(pointer, `At most ${most} are allowed, there are ${count}.`);
    for (const [index, each] of value.entries()) examine(shape.item, each, `${pointer}/${index}`, found);
    return;
  }
  const words = wrong(shape, value);
  if (words) found.set(pointer, words);
  else if (pointer.indexOf("/", 1) > 0 && shape.kind === "text" && typeof value === "string") {
    const size = new TextEncoder().encode(value).length;
    if (size > MAX_ITEM_BYTES) found.set(pointer, `At most ${MAX_ITEM_BYTES} bytes are allowed in an item, it has ${size}.`);
  }
}

/** What is wrong with one value; "" if nothing is. */
function wrong(shape: Shape, value: Json): string {
  if (value === null) return shape.nullable || (shape.kind === "json" && !shape.object) ? "" : "This can't be null.";
  switch (shape.kind) {
    case "integer":
    case "number":
      return wrongNumber(shape, value);
    case "text":
      return typeof value === "string" ? wrongText(shape, value) : "This must be a text.";
    case "file":
      return typeof value === "string" && /^\s*(https?:\/\/|data:|mayfly-file:)/i.test(value)
        ? ""
        : "This must be an uploaded file, or a URL that begins with http://, https:// or data:.";
    case "choice":
      return shape.choices.some((each) => same(each, value)) ? "" : "This is none of the choices.";
    case "boolean":
      return typeof value === "boolean" ? "" : "This must be yes or no.";
    case "list":
      return "This must be a list.";
    case "json":
      return shape.object && !(value instanceof Map) ? "This must be an object: {…}." : "";
    case "secret":
      return typeof value === "string" || value instanceof Map ? "" : "This must be a text.";
  }
}

function wrongNumber(shape: Shape, value: Json): string {
  if (!(value instanceof Exact)) return "This is not a number.";
  if (shape.kind === "integer" && !WHOLE.test(value.text) && !Number.isInteger(Number(value.text))) {
    return "This must be a whole number.";
  }
  if (shape.minimum !== null && compare(value.text, shape.minimum) < 0) return `At least ${shape.minimum}.`;
  if (shape.maximum !== null && compare(value.text, shape.maximum) > 0) return `At most ${shape.maximum}.`;
  return "";
}

function wrongText(shape: Shape, value: string): string {
  // Python counts characters, JavaScript halves of some of them.
  const characters = [...value].length;
  if (shape.minLength !== null && characters < shape.minLength) {
    return `At least ${shape.minLength} characters, there are ${characters}.`;
  }
  if (shape.maxLength !== null && characters > shape.maxLength) {
    return `At most ${shape.maxLength} characters, there are ${characters}.`;
  }
  return "";
}

/** A JSON pointer to a member. */
export function pointerOf(...names: (string | number)[]): string {
  return names.map((each) => `/${String(each).replace(/~/g, "~0").replace(/\//g, "~1")}`).join("");
}
