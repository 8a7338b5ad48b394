/// <reference types="node" />
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { type JsonObject, parse, write } from "../../parts/form/json";
import { type Call, curl, javascript, javascriptValue, kubectl, python, pythonValue, shell, yaml } from "./samples";

const NASTY = [
  "it's \"quoted\"",
  "back\\slash \\n \\u0041",
  "line\nbreak\r\n\ttab",
  "$HOME `id` $(id) !! %s",
  "é 😀 \u2028 \u0085 \ufeff \u007f",
  "END",
  "\nEND\n",
  "'''\"\"\"",
  "</script>",
  "\ud800",
  "",
];

function call(input: JsonObject, more: Partial<Call> = {}): Call {
  return { base: "https://m.example/ns/team", owner: "team", name: "draw", home: "team", namespace: "team", version: null, input, isModel: false, ...more };
}

const input = new Map(NASTY.map((text, index) => [`k${index}`, text])) as JsonObject;
const NUMBERS = parse('{"big": 12345678901234567890, "one": 1.0, "no": null, "yes": true, "list": [{}, []], "odd key": 1, "__proto__": 2}') as JsonObject;

/** What an expression gives, as JSON. */
const byNode = (code: string) => execFileSync("node", ["-e", `process.stdout.write(JSON.stringify(${code}))`]).toString();
const byPython = (code: string) => execFileSync("python3", ["-c", `import json\nprint(json.dumps(${code}))`]).toString();

const has = (program: string) => {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

describe("any text comes out as it went in", () => {
  test("in a shell", () => {
    for (const text of NASTY.filter((each) => each !== "\ud800")) {
      expect(execFileSync("sh", ["-c", `printf %s ${shell(text)}`]).toString()).toBe(text);
    }
  });

  test("in JavaScript", () => {
    expect(JSON.parse(byNode(javascriptValue(input)))).toEqual(Object.fromEntries(input));
    expect(Object.keys(JSON.parse(byNode(javascriptValue(NUMBERS))) as object)).toContain("__proto__");
  });

  test.skipIf(!has("python3"))("in Python", () => {
    expect(JSON.parse(byPython(pythonValue(input)))).toEqual(Object.fromEntries(input));
    expect(write(parse(byPython(pythonValue(NUMBERS))))).toBe(write(NUMBERS));
  });

  test("in YAML: printable, on one line, JSON's escapes", () => {
    for (const text of NASTY) {
      expect(JSON.parse(yaml(text))).toBe(text);
      expect(yaml(text)).not.toMatch(/[\n\r\u007f-\u009f\u2028\u2029\ufeff]/);
    }
  });

  test("in curl's body, through a shell", () => {
    const safe = new Map([...input].filter(([, text]) => text !== "\ud800")) as JsonObject;
    const code = curl(call(safe)).replace(/^curl/, "set --");
    const body = execFileSync("sh", ["-c", `${code}\nfor last in "$@"; do :; done; printf %s "$last"`]).toString();
    expect(JSON.parse(body)).toEqual({ input: Object.fromEntries(safe) });
  });

  test("in kubectl's document, through a shell", () => {
    const code = kubectl(call(NUMBERS))?.replace(/^kubectl create -f -/, "cat");
    const document = execFileSync("sh", ["-c", code ?? ""]).toString();
    const line = document.split("\n").find((each) => each.startsWith("  inputJSON: ")) ?? "";
    expect(JSON.parse(line.slice("  inputJSON: ".length))).toBe(write(NUMBERS));
  });
});

test("each names the right place", () => {
  const empty = new Map() as JsonObject;
  expect(python(call(empty))).toContain('base_url="https://m.example/ns/team")');
  expect(python(call(empty))).toContain("input={},");
  expect(javascript(call(empty))).toContain('baseUrl: "https://m.example/ns/team/v1"');
  expect(curl(call(empty))).toContain("'https://m.example/ns/team/v1/models/team/draw/predictions'");
  expect(kubectl(call(empty, { namespace: "other" }))).toContain('  pipelineRef:\n    namespace: "team"\n    name: "draw"');
});

test("a version that is not the latest is named", () => {
  const older = call(new Map(), { version: "a".repeat(64) });
  expect(python(older)).toContain(`"team/draw:${"a".repeat(64)}"`);
  expect(curl(older)).toContain("/ns/team/v1/predictions'");
  expect(curl(older)).toContain(`"version": "${"a".repeat(64)}"`);
  expect(kubectl(older)).toContain(`    version: "${"a".repeat(64)}"`);
});

test("a Model is not called with kubectl", () => {
  expect(kubectl(call(new Map(), { isModel: true }))).toBe(null);
});

test("JavaScript says which numbers it would round", () => {
  expect(javascript(call(NUMBERS))).toContain("no exact 12345678901234567890");
});
