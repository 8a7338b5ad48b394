import { expect, test } from "vitest";
import { indented } from "./indented";

test("looks like JSON.stringify, and changes no number", () => {
  const value = { a: [1, { b: "x, {y}: \\\" [" }], c: {}, d: [], e: null };
  expect(indented(JSON.stringify(value))).toBe(JSON.stringify(value, null, 2));
  expect(indented('{"a":1.0,"b":12345678901234567890}')).toBe('{\n  "a": 1.0,\n  "b": 12345678901234567890\n}');
  expect(indented('"only"')).toBe('"only"');
});
