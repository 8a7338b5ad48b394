import { beforeEach, describe, expect, test } from "vitest";
import { compare, numberFrom, problemsOf, stepped } from "./check";
import { exact, type JsonObject, parse, write } from "./json";
import { type Field, fieldsOf } from "./schema";
import { withoutSecrets } from "./secrets";
import { FormState, withinInput } from "./state";

const FIELDS = fieldsOf(
  exact({
    components: {
      schemas: {
        Input: {
          required: ["text"],
          properties: {
            text: { type: "string", minLength: 2 },
            steps: { type: "integer", default: 8, minimum: 1, maximum: 50 },
            size: { type: "integer", enum: [256, 512] },
            tags: { type: "array", items: { type: "string", maxLength: 3 }, maxItems: 2 },
            image: { type: "string", format: "uri" },
            config: { type: "object" },
            key: { type: "string", format: "password" },
          },
        },
      },
    },
  }),
) as Field[];

const by = (name: string) => FIELDS.find((each) => each.name === name) as Field;
const object = (text: string) => parse(text) as JsonObject;

describe("a form holds what is sent", () => {
  let state: FormState;
  beforeEach(() => {
    state = new FormState();
  });

  test("the default is not sent, also after it was changed and put back", () => {
    state.set(by("steps"), numberFrom("9") ?? undefined);
    expect(write(state.input.value)).toBe('{"steps": 9}');
    state.set(by("steps"), numberFrom("8") ?? undefined);
    expect(write(state.input.value)).toBe("{}");
  });

  test("to raw JSON and back nothing is lost", () => {
    const text = '{"unknown": [1.0, 12345678901234567890], "text": "x\\ny", "steps": 8, "size": "wrong"}';
    state.load(object(text));
    expect(state.toggle()).toBe("");
    expect(state.toggle()).toBe("");
    expect(write(state.input.value)).toBe(text);
  });

  test("what is no JSON yet keeps the view, and is not sent", () => {
    state.toggle();
    state.raw.value = '{"text": }';
    expect(state.toggle()).not.toBe("");
    expect(state.raw.value).toBe('{"text": }');
    expect(state.check(FIELDS)).toBe(false);
    expect(state.errors.value.get("")).toMatch(/^Line 1, column 10/);
  });

  test("a field's broken JSON blocks too, until it is mended", () => {
    state.load(object('{"text": "xy"}'));
    state.mend("config", "{");
    expect(state.toggle()).toBe("First mend the JSON of config.");
    expect(state.check(FIELDS)).toBe(false);
    state.set(by("config"), object("{}"));
    expect(state.check(FIELDS)).toBe(true);
  });

  test("the API's errors go to their fields, and away when those change", () => {
    const placed = state.refused([
      { detail: "must be at least 1 (got 0)", pointer: "/input/steps" },
      { detail: "is wrong", pointer: "/input/tags[1]" },
      { detail: "elsewhere", pointer: "/version" },
    ]);
    expect(placed).toBe(true);
    expect([...state.errors.value]).toEqual([
      ["/steps", "Must be at least 1 (got 0)"],
      ["/tags/1", "Is wrong."],
    ]);
    state.set(by("tags"), ["a"]);
    expect([...state.errors.value.keys()]).toEqual(["/steps"]);
    expect(state.refused([{ detail: "no", pointer: "/version" }])).toBe(false);
  });
});

test("pointers into a request's input", () => {
  expect(withinInput("/input")).toBe("");
  expect(withinInput("/input/a")).toBe("/a");
  expect(withinInput("/inputs/a")).toBe(null);
});

test("what can be said at once is said at its place", () => {
  const found = problemsOf(FIELDS, object('{"text": "x", "steps": 51, "size": 300, "tags": ["ok", "long", "z"], "image": "cat.png", "config": []}'));
  expect([...found]).toEqual([
    ["/text", "At least 2 characters, there are 1."],
    ["/steps", "At most 50."],
    ["/size", "This is none of the choices."],
    ["/tags", "At most 2 are allowed, there are 3."],
    ["/tags/1", "At most 3 characters, there are 4."],
    ["/image", "This must be an uploaded file, or a URL that begins with http://, https:// or data:."],
    ["/config", "This must be an object: {…}."],
  ]);
  expect([...problemsOf(FIELDS, new Map()).keys()]).toEqual(["/text"]);
  expect(problemsOf(FIELDS, object('{"text": "😀😀", "steps": 3.0}')).size).toBe(0);
});

test("numbers are what was typed", () => {
  expect(numberFrom("12345678901234567890")?.text).toBe("12345678901234567890");
  expect(numberFrom(" +007 ")?.text).toBe("7");
  expect(numberFrom(".5")?.text).toBe("0.5");
  expect(numberFrom("-5.")?.text).toBe("-5");
  expect(numberFrom("1e3")?.text).toBe("1e3");
  for (const no of ["", "-", "1,5", "0x1", "NaN", "1e", "1 2", "∞"]) expect(numberFrom(no)).toBe(null);
});

test("large whole numbers are compared and stepped exactly", () => {
  expect(compare("9007199254740993", "9007199254740992")).toBeGreaterThan(0);
  expect(stepped("9007199254740993", by("text"), true)).toBe("9007199254740994");
  expect(stepped("50", by("steps"), true)).toBe("50");
  expect(stepped("0.25", by("text"), false)).toBe("0.24");
});

test("secrets are not shown", () => {
  const given = object('{"text": "a", "key": "correct-horse"}');
  expect(write(withoutSecrets(given, FIELDS, () => "…"))).toBe('{"text": "a", "key": "…"}');
  const reference = object('{"key": {"secretKeyRef": {"name": "n", "key": "k"}}}');
  expect(withoutSecrets(reference, FIELDS, () => "…").get("key")).toBeInstanceOf(Map);
});
