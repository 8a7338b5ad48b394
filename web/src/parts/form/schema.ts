/** Which control an input gets: a version's OpenAPI schema, read as a list of fields. */

import { Exact, get, type Json, type JsonObject } from "./json";

export type Kind = "text" | "integer" | "number" | "boolean" | "choice" | "file" | "secret" | "list" | "json";

/** What an item of a list, or a field, may be. */
export interface Shape {
  kind: Kind;
  /** As the types table calls it: "text", "list of files", "JSON". */
  words: string;
  nullable: boolean;
  choices: Json[];
  minimum: string | null;
  maximum: string | null;
  minLength: number | null;
  maxLength: number | null;
  pattern: string | null;
  minItems: number;
  maxItems: number | null;
  /** Of a list. */
  item: Shape | null;
  /** Of raw JSON: whether it must be an object. */
  object: boolean;
}

export interface Field extends Shape {
  name: string;
  title: string;
  help: string;
  required: boolean;
  deprecated: boolean;
  /** What is taken if nothing is given; undefined: nothing. */
  default: Json | undefined;
}

/** The inputs of a version, in the order of its parameters; null if the schema names none. */
export function fieldsOf(document: Json | undefined): Field[] | null {
  const schemas = get(document, "components", "schemas");
  const input = get(schemas, "Input");
  const properties = get(input, "properties");
  if (!(properties instanceof Map)) return get(input, "additionalProperties") === false ? [] : null;
  const required = listOf(get(input, "required"));
  const found = [...properties].map(([name, property], index) => {
    const merged = resolved(property, schemas);
    return { field: fieldOf(name, merged, required.includes(name)), order: numberOf(merged.get("x-order")) ?? index };
  });
  return found.toSorted((one, other) => one.order - other.order).map((each) => each.field);
}

/** Few and short choices are seen at once. */
export function isRadio(field: Shape): boolean {
  if (field.kind !== "choice" || field.choices.length > 4) return false;
  return field.choices.every((each) => (typeof each === "string" ? each.length <= 24 : true));
}

/** The schema of what a version gives. */
export function outputOf(document: Json | undefined): Json | undefined {
  return get(document, "components", "schemas", "Output");
}

/** A property with what its references say merged into it; its own words win. */
function resolved(property: Json, schemas: Json | undefined, depth = 0): JsonObject {
  if (!(property instanceof Map)) return new Map();
  const merged: JsonObject = new Map();
  const parts = [...listOf(property.get("allOf")), ...(property.has("$ref") ? [property] : [])];
  for (const part of parts) {
    const name = get(part, "$ref");
    if (typeof name !== "string" || depth > 8) continue;
    const target = get(schemas, name.slice(name.lastIndexOf("/") + 1));
    for (const [key, value] of resolved(target ?? null, schemas, depth + 1)) merged.set(key, value);
  }
  for (const [key, value] of property) if (key !== "allOf" && key !== "$ref") merged.set(key, value);
  const items = merged.get("items");
  if (items instanceof Map && depth <= 8) merged.set("items", resolved(items, schemas, depth + 1));
  return nullableUnion(merged, schemas, depth);
}

/** `anyOf: [X, null]`, which Cog servers with newer schemas say for an optional X. */
function nullableUnion(merged: JsonObject, schemas: Json | undefined, depth: number): JsonObject {
  const members = listOf(merged.get("anyOf"));
  const kinds = members.filter((each) => get(each, "type") !== "null");
  const [only] = kinds;
  if (members.length !== 2 || kinds.length !== 1 || only === undefined || depth > 8) return merged;
  const found = resolved(only, schemas, depth + 1);
  for (const [key, value] of merged) if (key !== "anyOf") found.set(key, value);
  return found.set("nullable", true);
}

function fieldOf(name: string, merged: JsonObject, required: boolean): Field {
  const title = merged.get("title");
  const help = merged.get("description");
  return {
    ...shapeOf(merged),
    name,
    title: typeof title === "string" && title !== "" ? title : name,
    help: typeof help === "string" && help !== "An enumeration." ? help : "",
    required,
    deprecated: merged.get("deprecated") === true,
    // Some servers say so of what is optional.
    default: merged.get("default") ?? undefined,
  };
}

function shapeOf(merged: JsonObject, depth = 0): Shape {
  const kind = kindOf(merged, depth);
  const items = merged.get("items");
  const item = kind === "list" && items instanceof Map ? shapeOf(items, depth + 1) : null;
  const pattern = merged.get("pattern");
  return {
    kind,
    words: wordsOf(kind, item),
    nullable: merged.get("nullable") === true,
    choices: listOf(merged.get("enum")).filter((each) => each !== null),
    minimum: textOf(merged.get("minimum")),
    maximum: textOf(merged.get("maximum")),
    minLength: numberOf(merged.get("minLength")),
    maxLength: numberOf(merged.get("maxLength")),
    pattern: typeof pattern === "string" ? pattern : null,
    minItems: numberOf(merged.get("minItems")) ?? 0,
    maxItems: numberOf(merged.get("maxItems")),
    item,
    object: merged.get("type") === "object",
  };
}

function kindOf(merged: JsonObject, depth: number): Kind {
  const type = merged.get("type");
  const format = merged.get("format");
  if (merged.has("enum")) return "choice";
  if (type === "string") {
    if (format === "password" || merged.get("x-cog-secret") === true) return "secret";
    return format === "uri" ? "file" : "text";
  }
  if (type === "integer" || type === "number" || type === "boolean") return type;
  // A list of anything, or of lists, is written as JSON: rows of JSON say no more.
  if (type === "array" && depth === 0 && merged.get("items") instanceof Map) {
    const inner = kindOf(merged.get("items") as JsonObject, 1);
    return inner === "json" || inner === "list" ? "json" : "list";
  }
  return "json";
}

const NOUNS: Record<Kind, [string, string]> = {
  text: ["text", "texts"],
  integer: ["whole number", "whole numbers"],
  number: ["number", "numbers"],
  boolean: ["yes or no", "yes or no"],
  choice: ["choice", "choices"],
  file: ["file", "files"],
  secret: ["secret", "secrets"],
  list: ["list", "lists"],
  json: ["JSON", "JSON"],
};

function wordsOf(kind: Kind, item: Shape | null): string {
  return item ? `list of ${NOUNS[item.kind][1]}` : NOUNS[kind][0];
}

/** What differs between two versions' inputs, in words; empty if a caller need not care. */
export function differences(before: Field[], after: Field[]): string[] {
  const old = new Map(before.map((each) => [each.name, each]));
  const found: string[] = [];
  for (const field of after) {
    const was = old.get(field.name);
    old.delete(field.name);
    if (!was) found.push(`${field.name} is new${field.required ? " and required" : ""}`);
    else if (was.words !== field.words) found.push(`${field.name} is a ${field.words}, was a ${was.words}`);
    else if (JSON.stringify(rulesOf(was)) !== JSON.stringify(rulesOf(field))) {
      found.push(`${field.name} has other bounds, choices or another default`);
    }
  }
  for (const name of old.keys()) found.push(`${name} is gone`);
  return found;
}

function rulesOf(field: Field): unknown {
  const { title: _title, help: _help, choices, default: fallback, item, ...rest } = field;
  return [rest, shown(choices), shown(fallback ?? null), item && [item, shown(item.choices)]];
}

function shown(value: Json): unknown {
  if (value instanceof Exact) return value.text;
  if (Array.isArray(value)) return value.map(shown);
  if (value instanceof Map) return [...value].map(([name, each]) => [name, shown(each)]);
  return value;
}

function listOf(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: Json | undefined): string | null {
  return value instanceof Exact ? value.text : null;
}

function numberOf(value: Json | undefined): number | null {
  return value instanceof Exact ? Number(value.text) : null;
}
