/**
 * What a form holds: the input exactly as it would be sent. Controls are views of it, so that the
 * form and the raw JSON say the same, and what no control knows is kept.
 */

import { type Signal, signal } from "@preact/signals";
import type { FieldError } from "../../api/client";
import { problemsOf } from "./check";
import { type Json, JsonError, type JsonObject, parse, same, write } from "./json";
import type { Field } from "./schema";

export class FormState {
  /** What was given; what is left out has its default. */
  readonly input: Signal<JsonObject> = signal(new Map());
  /** Texts that are no JSON yet, by field. */
  readonly broken: Signal<ReadonlyMap<string, string>> = signal(new Map());
  /** The text of the raw view; null: the form is shown. */
  readonly raw: Signal<string | null> = signal(null);
  /** What is wrong, by JSON pointer below the input; "" is the input as a whole. */
  readonly errors: Signal<ReadonlyMap<string, string>> = signal(new Map());
  /** Uploads that are under way: nothing is sent before they have ended. */
  readonly uploads: Signal<number> = signal(0);
  /** JSON as it was typed, by field, so that its line breaks stay. */
  private readonly typed = new Map<string, string>();
  /** How often everything was replaced: controls that hold text begin again then. */
  readonly round: Signal<number> = signal(0);

  /** Replace everything, as with the input of another run. */
  load(input: JsonObject): void {
    this.input.value = new Map(input);
    this.broken.value = new Map();
    this.errors.value = new Map();
    if (this.raw.value !== null) this.raw.value = write(input, 2);
    this.round.value += 1;
  }

  /** Give one input; undefined leaves it out, and so does what the default says anyway. */
  set(field: Field, value: Json | undefined): void {
    const next = new Map(this.input.value);
    if (value === undefined || same(value, field.default)) next.delete(field.name);
    else next.set(field.name, value);
    this.input.value = next;
    this.mend(field.name, null);
    this.forget(field.name);
  }

  /** Remember a text that is no JSON yet; null: there is none any more. */
  mend(name: string, text: string | null): void {
    if (text === null && !this.broken.value.has(name)) return;
    const next = new Map(this.broken.value);
    if (text === null) next.delete(name);
    else next.set(name, text);
    this.broken.value = next;
  }

  /** Remember how a field's JSON was typed. */
  remember(name: string, text: string): void {
    this.typed.set(name, text);
  }

  /** A field's value as text: as it was typed, if that is what it still says. */
  written(name: string, value: Json): string {
    const text = this.typed.get(name);
    if (text !== undefined && same(parse(text), value)) return text;
    return write(value, 2);
  }

  /** Errors of a field that is changed say nothing any more. */
  private forget(name: string): void {
    const own = `/${name}`;
    const left = [...this.errors.value].filter(([key]) => key !== "" && key !== own && !key.startsWith(`${own}/`));
    if (left.length !== this.errors.value.size) this.errors.value = new Map(left);
  }

  /** Show the raw JSON, or the form again. Says why not, if it can't; "" if it could. */
  toggle(): string {
    if (this.raw.value === null) {
      const [name] = this.broken.value.keys();
      if (name !== undefined) return `First mend the JSON of ${name}.`;
      this.raw.value = write(this.input.value, 2);
      return "";
    }
    if (this.readRaw(this.raw.value)) return "The form can show it when the JSON is right.";
    this.raw.value = null;
    this.round.value += 1;
    return "";
  }

  /** Take over what the raw view says; why it can't be, or "". */
  readRaw(text: string): string {
    try {
      const found = parse(text.trim() === "" ? "{}" : text);
      if (!(found instanceof Map)) return "Line 1: the input must be an object, {…}.";
      this.input.value = found;
      return "";
    } catch (error) {
      if (error instanceof JsonError) return error.message;
      throw error;
    }
  }

  /** Look whether the input can be sent; what is wrong is shown at its field. */
  check(fields: readonly Field[]): boolean {
    if (this.raw.value !== null) {
      const problem = this.readRaw(this.raw.value);
      if (problem) {
        this.errors.value = new Map([["", problem]]);
        return false;
      }
    }
    const found = problemsOf(fields, this.input.value);
    for (const name of this.broken.value.keys()) found.set(`/${name}`, "This is no JSON yet.");
    this.errors.value = found;
    return found.size === 0;
  }

  /** Show what the API found wrong; false if none of it belongs to the input. */
  refused(errors: readonly FieldError[]): boolean {
    const found = new Map<string, string>();
    for (const each of errors) {
      const pointer = withinInput(each.pointer ?? "");
      if (pointer !== null) found.set(pointer, sentence(each.detail));
    }
    this.errors.value = found;
    return found.size > 0;
  }
}

/** A pointer into the request as one into its input; null if it names something else. */
export function withinInput(pointer: string): string | null {
  if (pointer !== "/input" && !pointer.startsWith("/input/")) return null;
  return pointer.slice("/input".length).replace(/\[(\d+)\]/g, "/$1");
}

function sentence(words: string): string {
  const first = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?)}]$/.test(first) ? first : `${first}.`;
}
