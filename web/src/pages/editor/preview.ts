/** Reads from a version's schema what its form will ask for. */

type Json = Record<string, unknown>;

export interface FieldPreview {
  name: string;
  kind: string;
  required: boolean;
  /** As JSON; "" without a default. */
  usual: string;
  description: string;
  choices: string[];
  bounds: string;
}

/** The fields of the form, in the order of the parameters of `main()`. */
export function fieldsOf(document: unknown): FieldPreview[] {
  const schemas = schemasOf(document);
  const input = object(schemas.Input);
  const required = Array.isArray(input.required) ? input.required : [];
  return Object.entries(object(input.properties))
    .map(([name, raw]) => ({ name, schema: resolved(object(raw), schemas) }))
    .toSorted((one, other) => order(one.schema) - order(other.schema))
    .map(({ name, schema }) => ({
      name,
      kind: kindOf(schema, schemas),
      required: required.includes(name),
      usual: schema.default === undefined ? "" : JSON.stringify(schema.default),
      description: typeof schema.description === "string" ? schema.description : "",
      choices: choicesOf(schema),
      bounds: boundsOf(schema),
    }));
}

/** What the pipeline gives, in words. */
export function outputOf(document: unknown): string {
  const schemas = schemasOf(document);
  const output = resolved(object(schemas.Output), schemas);
  if (output["x-cog-array-type"] !== "iterator") return kindOf(output, schemas);
  const pieces = kindOf(object(output.items), schemas);
  if (output["x-cog-array-display"] === "concatenate") return `${pieces}, piece by piece`;
  return `${pieces}, one after the other`;
}

function schemasOf(document: unknown): Json {
  return object(object(object(document).components).schemas);
}

function kindOf(schema: Json, schemas: Json): string {
  if (choicesOf(schema).length > 0) return "one of a few";
  if (schema.type === "array") return `list: ${kindOf(resolved(object(schema.items), schemas), schemas)}`;
  if (schema.format === "uri") return "file";
  if (schema.format === "password" || schema["x-cog-secret"]) return "secret";
  const words: Json = { string: "text", integer: "whole number", number: "number", boolean: "yes or no" };
  const found = words[String(schema.type)];
  return typeof found === "string" ? found : "any JSON";
}

function boundsOf(schema: Json): string {
  const { minimum: low, maximum: high } = schema;
  if (typeof low === "number" && typeof high === "number") return `${low} to ${high}`;
  if (typeof low === "number") return `at least ${low}`;
  if (typeof high === "number") return `at most ${high}`;
  return "";
}

function choicesOf(schema: Json): string[] {
  return Array.isArray(schema.enum) ? schema.enum.map(String) : [];
}

/** A schema with what its `$ref` or its one `allOf` says; its own words win. */
function resolved(schema: Json, schemas: Json): Json {
  const first = Array.isArray(schema.allOf) ? object(schema.allOf[0]) : schema;
  const target = typeof first.$ref === "string" ? first.$ref.split("/").pop() : undefined;
  return target ? { ...object(schemas[target]), ...schema } : schema;
}

function order(schema: Json): number {
  return typeof schema["x-order"] === "number" ? schema["x-order"] : 0;
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
