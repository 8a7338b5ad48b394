import { describe, expect, test } from "vitest";
import { exact, type Json, parse, write } from "./json";
import { differences, type Field, fieldsOf, isRadio } from "./schema";

/** The schema that Mayfly makes of one parameter. */
function field(property: object, extra: object = {}, required: string[] = []): Field {
  const Input = { type: "object", properties: { it: property }, required };
  const [found] = fieldsOf(exact({ components: { schemas: { Input, ...extra } } })) ?? [];
  if (!found) throw new Error("no field");
  return found;
}

describe("each row of the types table has its control", () => {
  test.each([
    ["str", { type: "string" }, "text", "text"],
    ["int", { type: "integer" }, "integer", "whole number"],
    ["float", { type: "number" }, "number", "number"],
    ["bool", { type: "boolean", default: false }, "boolean", "yes or no"],
    ["cog.Path", { type: "string", format: "uri" }, "file", "file"],
    ["cog.File", { type: "string", format: "uri", "x-mayfly-type": "file" }, "file", "file"],
    ["list[str]", { type: "array", items: { type: "string" } }, "list", "list of texts"],
    ["list[int]", { type: "array", items: { type: "integer" } }, "list", "list of whole numbers"],
    ["list[float]", { type: "array", items: { type: "number" } }, "list", "list of numbers"],
    ["list[bool]", { type: "array", items: { type: "boolean" } }, "list", "list of yes or no"],
    ["list[Path]", { type: "array", items: { type: "string", format: "uri" } }, "list", "list of files"],
    ["set[str]", { type: "array", items: { type: "string" }, "x-mayfly-type": "set" }, "list", "list of texts"],
    ["dict", { type: "object" }, "json", "JSON"],
    ["Any", {}, "json", "JSON"],
    ["list", { type: "array", items: {} }, "json", "JSON"],
    ["list[list[str]]", { type: "array", items: { type: "array", items: { type: "string" } } }, "json", "JSON"],
    ["list[dict]", { type: "array", items: { type: "object" } }, "json", "JSON"],
    ["Secret", { type: "string", format: "password", writeOnly: true, "x-cog-secret": true }, "secret", "secret"],
  ])("%s", (_annotation, property, kind, words) => {
    expect(field(property)).toMatchObject({ kind, words });
  });

  test("choices stay numbers, and few short ones are seen at once", () => {
    const it = { title: "it", description: "An enumeration.", enum: [256, 512, 1024], type: "integer" };
    const found = field({ allOf: [{ $ref: "#/components/schemas/it" }], default: 512, description: "How wide." }, { it });
    expect(found).toMatchObject({ kind: "choice", help: "How wide." });
    expect(found.choices.map((each) => write(each))).toEqual(["256", "512", "1024"]);
    expect(isRadio(found)).toBe(true);
    expect(isRadio({ ...found, choices: [...found.choices, ...found.choices] })).toBe(false);
    expect(isRadio({ ...found, choices: ["x".repeat(40)] })).toBe(false);
  });

  test("the words of an enumeration are no help", () => {
    const it = { enum: ["a"], type: "string", description: "An enumeration." };
    expect(field({ allOf: [{ $ref: "#/components/schemas/it" }] }, { it }).help).toBe("");
  });
});

test("bounds and defaults keep their digits", () => {
  const document = parse(
    '{"components": {"schemas": {"Input": {"properties": {"it": {"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807, "default": 9007199254740993}}}}}}',
  );
  const [found] = fieldsOf(document) ?? [];
  expect(found).toMatchObject({ minimum: "-9223372036854775808", maximum: "9223372036854775807" });
  expect(write(found?.default as Json)).toBe("9007199254740993");
});

test("fields stand in the order of the parameters", () => {
  const properties = { b: { type: "string", "x-order": 1 }, a: { type: "string", "x-order": 0 }, c: { type: "string", "x-order": 10 } };
  const found = fieldsOf(exact({ components: { schemas: { Input: { properties } } } }));
  expect(found?.map((each) => each.name)).toEqual(["a", "b", "c"]);
});

test("optional, required, deprecated", () => {
  expect(field({ type: "integer", nullable: true })).toMatchObject({ nullable: true, required: false, default: undefined });
  expect(field({ type: "string" }, {}, ["it"]).required).toBe(true);
  expect(field({ type: "string", default: "", deprecated: true })).toMatchObject({ deprecated: true, default: "" });
  expect(field({ anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }] })).toMatchObject({ kind: "integer", minimum: "1", nullable: true });
});

test("a schema that names no inputs is not known", () => {
  expect(fieldsOf(exact({ components: { schemas: { Input: { type: "object" } } } }))).toBe(null);
  expect(fieldsOf(exact({ components: { schemas: { Input: { type: "object", properties: {} } } } }))).toEqual([]);
  expect(fieldsOf(undefined)).toBe(null);
});

test("a schema that refers to itself ends", () => {
  const it = { allOf: [{ $ref: "#/components/schemas/it" }], type: "string" };
  expect(field({ allOf: [{ $ref: "#/components/schemas/it" }] }, { it }).kind).toBe("text");
});

test("what differs between two versions is said", () => {
  const old = [field({ type: "string" }), { ...field({ type: "integer" }), name: "n" }, { ...field({}), name: "gone" }];
  const current = [
    { ...field({ type: "integer" }), name: "it" },
    { ...field({ type: "integer", maximum: 3 }), name: "n" },
    { ...field({ type: "string" }, {}, ["it"]), name: "added" },
  ];
  expect(differences(old, current)).toEqual([
    "it is a whole number, was a text",
    "n has other bounds, choices or another default",
    "added is new and required",
    "gone is gone",
  ]);
  expect(differences(old, old)).toEqual([]);
});
