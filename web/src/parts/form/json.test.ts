import { describe, expect, test } from "vitest";
import { Exact, exact, JsonError, type JsonObject, parse, plain, same, write } from "./json";

describe("JSON that stays as it was written", () => {
  test.each([
    "12345678901234567890",
    "-0",
    "1.0",
    "1e400",
    "1.10E-7",
    '"\\ud800"',
    '"é😀\\n\\"\\\\"',
    "[]",
    "{}",
    '{"2": 1, "1": 2, "__proto__": 3}',
    '[null, true, false, [1.50, {"a": [{}]}]]',
  ])("%s", (text) => {
    expect(write(parse(text))).toBe(text);
    expect(write(parse(write(parse(text), 2)))).toBe(text);
  });

  test("is indented as people write it", () => {
    expect(write(parse('{"a":[1,{}],"b":{}}'), 2)).toBe('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": {}\n}');
  });

  test("a text of megabytes is read", () => {
    const long = "x\\n".repeat(2_000_000);
    expect((parse(`["${long}"]`) as string[])[0]).toHaveLength(4_000_000);
  });
});

describe("errors say where", () => {
  test.each([
    ['{"a": 1,\n oops}', 2, 2, /name in "double quotes"/],
    ["{'a': 1}", 1, 2, /name in "double quotes"/],
    ["['a']", 1, 2, /double quotes/],
    ["[1, 2,]", 1, 7, /comma too many/],
    ["[1 2]", 1, 4, /comma or \] is missing/],
    ['{"a" 1}', 1, 6, /colon/],
    ['{"a": 1, "a": 2}', 1, 10, /twice/],
    ["[True]", 1, 2, /Write true/],
    ["01", 1, 2, /not a number/],
    ["1 2", 1, 3, /more after the end/],
    ['"a\nb"', 1, 1, /line break as/],
    ['"\\x"', 1, 1, /no end/],
    ["", 1, 1, /missing/],
    ["[NaN]", 1, 2, /no value/],
    [`${"[".repeat(300)}`, 1, 202, /too deeply/],
  ])("%j", (text, line, column, words) => {
    let found: unknown;
    try {
      parse(text);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(JsonError);
    expect(found).toMatchObject({ line, column });
    expect((found as JsonError).words).toMatch(words);
  });
});

test("values are compared by how they are written", () => {
  expect(same(parse("1"), parse("1.0"))).toBe(false);
  expect(same(parse('{"a": [1]}'), parse('{"a":[1]}'))).toBe(true);
  expect(same(undefined, null)).toBe(false);
});

test("to and from JavaScript's values", () => {
  const value = { a: [1, "x", null, true], b: { c: 0.5 } };
  expect(plain(exact(value))).toEqual(value);
  expect((exact(value) as JsonObject).get("a")).toContainEqual(new Exact("1"));
});
