import { expect, test } from "vitest";
import { fieldsOf, outputOf } from "./preview";

const document = (input: unknown, output: unknown = { type: "string" }, more: object = {}) => ({
  components: { schemas: { Input: input, Output: output, ...more } },
});

test("fields come in the order of the parameters, with what the form needs", () => {
  const found = fieldsOf(
    document(
      {
        required: ["text"],
        properties: {
          style: { "x-order": 1, default: "plain", allOf: [{ $ref: "#/components/schemas/style" }] },
          text: { "x-order": 0, type: "string", description: "What." },
          times: { "x-order": 2, type: "integer", minimum: 1, maximum: 9, default: 1 },
          files: { "x-order": 3, type: "array", items: { type: "string", format: "uri" } },
        },
      },
      {},
      { style: { type: "string", enum: ["plain", "loud"] } },
    ),
  );
  expect(found.map((each) => [each.name, each.kind, each.required, each.usual])).toEqual([
    ["text", "text", true, ""],
    ["style", "one of a few", false, '"plain"'],
    ["times", "whole number", false, "1"],
    ["files", "list: file", false, ""],
  ]);
  expect(found[1]?.choices).toEqual(["plain", "loud"]);
  expect(found[2]?.bounds).toBe("1 to 9");
});

test("a schema of anything is read without a fall", () => {
  for (const odd of [null, undefined, 1, "x", [], {}, { components: null }, document(null, null)]) {
    expect(fieldsOf(odd)).toEqual([]);
    expect(outputOf(odd)).toBe("any JSON");
  }
});

test("an iterator's output is told as what it is", () => {
  const items = { type: "array", items: { type: "string" }, "x-cog-array-type": "iterator" };
  expect(outputOf(document({}, items))).toBe("text, one after the other");
  expect(outputOf(document({}, { ...items, "x-cog-array-display": "concatenate" }))).toBe("text, piece by piece");
  expect(outputOf(document({}, { type: "string", format: "uri" }))).toBe("file");
});
