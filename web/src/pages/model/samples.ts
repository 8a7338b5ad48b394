/** A call as code: Python, JavaScript, curl and kubectl, each with its own quoting. */

import { Exact, type Json, type JsonObject, write } from "../../parts/form/json";

export interface Call {
  /** The base of the API without /v1: "https://host/ns/default". */
  base: string;
  owner: string;
  name: string;
  /** The namespace of the Pipeline, and the one in which the run shall be. */
  home: string;
  namespace: string;
  /** A version that is not the latest. */
  version: string | null;
  input: JsonObject;
  isModel: boolean;
}

const STEP = "    ";

/** With Replicate's Python client, 1.x. */
export function python(call: Call): string {
  return [
    "import os",
    "",
    "from replicate.client import Client",
    "",
    `client = Client(api_token=os.environ["MAYFLY_TOKEN"], base_url=${pythonText(call.base)})`,
    "output = client.run(",
    `${STEP}${pythonText(reference(call))},`,
    `${STEP}input=${pythonValue(call.input, STEP)},`,
    ")",
    "print(output)",
    "",
  ].join("\n");
}

/** With Replicate's JavaScript client. */
export function javascript(call: Call): string {
  const lost = inexact(call.input);
  const warning = lost.length > 0 ? [`// JavaScript has no exact ${lost.join(", ")}: send the JSON text yourself if that matters.`] : [];
  return [
    'import Replicate from "replicate";',
    "",
    "const replicate = new Replicate({",
    "  auth: process.env.MAYFLY_TOKEN,",
    `  baseUrl: ${JSON.stringify(`${call.base}/v1`)},`,
    "});",
    ...warning,
    `const output = await replicate.run(${JSON.stringify(reference(call))}, {`,
    `  input: ${javascriptValue(call.input, "  ")},`,
    "});",
    "console.log(output);",
    "",
  ].join("\n");
}

/** With curl, in a POSIX shell. */
export function curl(call: Call): string {
  const versioned = call.version !== null && !call.isModel;
  const path = versioned ? "/v1/predictions" : `/v1/models/${encodeURIComponent(call.owner)}/${encodeURIComponent(call.name)}/predictions`;
  const body: JsonObject = new Map();
  if (versioned) body.set("version", call.version);
  body.set("input", call.input);
  return [
    `curl --fail-with-body -sS ${shell(call.base + path)} \\`,
    '  -H "Authorization: Bearer $MAYFLY_TOKEN" \\',
    "  -H 'Content-Type: application/json' -H 'Prefer: wait' \\",
    `  --data-raw ${shell(write(body, 2))}`,
    "",
  ].join("\n");
}

/** With kubectl: a PipelineRun. Models can't be called so: null. */
export function kubectl(call: Call): string | null {
  if (call.isModel) return null;
  const pipeline = [`    name: ${yaml(call.name)}`];
  if (call.home !== call.namespace) pipeline.unshift(`    namespace: ${yaml(call.home)}`);
  if (call.version !== null) pipeline.push(`    version: ${yaml(call.version)}`);
  return [
    "kubectl create -f - <<'END'",
    "apiVersion: mayfly.dev/v1alpha1",
    "kind: PipelineRun",
    "metadata:",
    `  generateName: ${yaml(`${call.name}-`)}`,
    `  namespace: ${yaml(call.namespace)}`,
    "spec:",
    "  pipelineRef:",
    ...pipeline,
    `  inputJSON: ${yaml(write(call.input))}`,
    "END",
    "",
  ].join("\n");
}

function reference(call: Call): string {
  const name = `${call.owner}/${call.name}`;
  return call.version === null ? name : `${name}:${call.version}`;
}

/** A text that any POSIX shell takes as it is. */
export function shell(text: string): string {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

/** A text in YAML's double quotes. JSON's escapes are YAML's; what YAML can't print is escaped too. */
export function yaml(text: string): string {
  return escaped(text);
}

/** Python's texts have JSON's escapes. */
function pythonText(text: string): string {
  return escaped(text);
}

/** A JSON string without characters that can't be printed, or that hide what is there. */
function escaped(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function pythonValue(value: Json, line = ""): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return pythonText(value);
  if (value instanceof Exact) return value.text;
  const inner = line + STEP;
  const parts = Array.isArray(value)
    ? value.map((each) => pythonValue(each, inner))
    : [...value].map(([name, each]) => `${pythonText(name)}: ${pythonValue(each, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return bracketed(parts, open, close, line, inner);
}

export function javascriptValue(value: Json, line = ""): string {
  if (value instanceof Exact) return value.text;
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return escaped(value);
  const inner = `${line}  `;
  const parts = Array.isArray(value)
    ? value.map((each) => javascriptValue(each, inner))
    : [...value].map(([name, each]) => `${property(name)}: ${javascriptValue(each, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return bracketed(parts, open, close, line, inner);
}

/** A name in an object literal. `__proto__` would otherwise set the prototype. */
function property(name: string): string {
  if (name === "__proto__") return '["__proto__"]';
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : escaped(name);
}

function bracketed(parts: string[], open: string, close: string, line: string, inner: string): string {
  if (parts.length === 0) return open + close;
  return `${open}\n${parts.map((each) => `${inner}${each},\n`).join("")}${line}${close}`;
}

/** Numbers that JavaScript would round. */
function inexact(value: Json): string[] {
  if (value instanceof Exact) {
    return /^-?\d+$/.test(value.text) && !Number.isSafeInteger(Number(value.text)) ? [value.text] : [];
  }
  if (Array.isArray(value)) return value.flatMap(inexact);
  return value instanceof Map ? [...value.values()].flatMap(inexact) : [];
}
