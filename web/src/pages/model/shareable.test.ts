import { expect, test } from "vitest";
import { exact, type JsonObject, parse } from "../../parts/form/json";
import { fieldsOf } from "../../parts/form/schema";
import { shareable } from "./shareable";

const secret = { type: "string", format: "password" };
const properties = { text: { type: "string" }, key: secret, keys: { type: "array", items: secret } };
const FIELDS = fieldsOf(exact({ components: { schemas: { Input: { properties } } } }));
const shared = (text: string) => shareable(parse(text) as JsonObject, FIELDS);

test("an input in a link is exact", () => {
  expect(shared('{"text":"a","other":12345678901234567890}')).toBe('{"text": "a", "other": 12345678901234567890}');
});

test("secrets are never in a link", () => {
  expect(shared('{"text": "a", "key": "correct-horse"}')).toBe(null);
  expect(shared('{"keys": ["correct-horse"]}')).toBe(null);
  expect(shareable(parse('{"key": "correct-horse"}') as JsonObject, null)).toBe(null);
});

test("what is large or empty is not in a link", () => {
  expect(shared("{}")).toBe(null);
  expect(shared(`{"text": "${"x".repeat(2100)}"}`)).toBe(null);
  expect(shared('{"text": "data:image/png;base64,AAAA"}')).toBe(null);
});
