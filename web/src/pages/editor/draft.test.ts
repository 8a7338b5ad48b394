import { expect, test } from "vitest";
import {
  changed,
  created,
  type Draft,
  entrypointProblem,
  fileProblem,
  forget,
  keep,
  kept,
  nameProblem,
  renamed,
  sameDraft,
  sizeProblem,
  sourceOf,
  without,
} from "./draft";

const DRAFT: Draft = {
  namespace: "team",
  name: "shorten",
  description: "",
  visibility: "private",
  hardware: "",
  entrypoint: "",
  files: { "main.py": "def main(): ..." },
};

class Store implements Storage {
  readonly #kept = new Map<string, string>();
  constructor(readonly full = false) {}
  get length() {
    return this.#kept.size;
  }
  clear() {
    this.#kept.clear();
  }
  key(index: number) {
    return [...this.#kept.keys()][index] ?? null;
  }
  getItem(key: string) {
    return this.#kept.get(key) ?? null;
  }
  removeItem(key: string) {
    this.#kept.delete(key);
  }
  setItem(key: string, value: string) {
    if (this.full) throw new DOMException("full", "QuotaExceededError");
    this.#kept.set(key, value);
  }
}

test.each(["a", "shorten", "a-1", "9", "x".repeat(52)])("%s is a name", (name) => {
  expect(nameProblem(name)).toBe("");
});

test.each(["", "A", "-a", "a-", "a_b", "a b", "ä", "a/b", "x".repeat(53)])("%j is no name", (name) => {
  expect(nameProblem(name)).not.toBe("");
});

test.each(["main.py", "lib/words.txt", "_a.py", "README.md"])("%s is a file", (name) => {
  expect(fileProblem(name, ["other.py"])).toBe("");
});

test.each(["", ".env", "/main.py", "../up.py", "a..b", "a b.py", "other.py", "other.py/x", "lib/"])(
  "%j is no file beside other.py",
  (name) => {
    expect(fileProblem(name, ["other.py"])).not.toBe("");
  },
);

test("an entrypoint names a function of a file that is there", () => {
  expect(entrypointProblem("", DRAFT.files)).toBe("");
  expect(entrypointProblem("main.py:run", DRAFT.files)).toBe("");
  expect(entrypointProblem("main", DRAFT.files)).not.toBe("");
  expect(entrypointProblem("other.py:main", DRAFT.files)).toContain("other.py");
});

test("a source has a largest size", () => {
  expect(sizeProblem({ a: "x".repeat(131_072) })).toBe("");
  expect(sizeProblem({ a: "x".repeat(131_072), b: "x" })).toContain("131,073");
});

test("files keep their order", () => {
  const files = { "main.py": "1", "b.py": "2", "c.py": "3" };
  expect(Object.keys(renamed(files, "b.py", "z.py"))).toEqual(["main.py", "z.py", "c.py"]);
  expect(Object.keys(without(files, "b.py"))).toEqual(["main.py", "c.py"]);
});

test("one main.py is a source; anything else is files", () => {
  expect(sourceOf({ "main.py": "" })).toEqual({ source: "" });
  expect(sourceOf({ "other.py": "1" })).toEqual({ files: { "other.py": "1" } });
  expect(sourceOf({ "main.py": "1", "b.py": "2" })).toEqual({ files: { "main.py": "1", "b.py": "2" } });
});

test("a create says what was given; a push says what was changed", () => {
  expect(created(DRAFT)).toEqual({
    owner: "team",
    name: "shorten",
    description: "",
    visibility: "private",
    source: "def main(): ...",
  });
  expect(created({ ...DRAFT, hardware: "large" })).toMatchObject({ hardware: "large" });
  expect(changed(DRAFT, DRAFT)).toEqual({ source: "def main(): ..." });
  expect(changed({ ...DRAFT, description: "now" }, { ...DRAFT, description: "was" })).toEqual({
    source: "def main(): ...",
    description: "now",
  });
});

test("unsaved work is kept until it is forgotten", () => {
  const store = new Store();
  expect(kept(store, "new")).toBeNull();
  keep(store, "new", { draft: DRAFT, base: "v1" });
  expect(kept(store, "new")).toEqual({ draft: DRAFT, base: "v1" });
  expect(kept(store, "team/other")).toBeNull();
  forget(store, "new");
  expect(kept(store, "new")).toBeNull();
});

test("what does not fit or can't be read is not kept", () => {
  keep(new Store(true), "new", { draft: DRAFT, base: "" });
  const store = new Store();
  store.setItem("mayfly-draft:new", "{");
  expect(kept(store, "new")).toBeNull();
});

test("drafts are the same whatever the order of their files", () => {
  const one = { ...DRAFT, files: { a: "1", b: "2" } };
  expect(sameDraft(one, { ...DRAFT, files: { b: "2", a: "1" } })).toBe(true);
  expect(sameDraft(one, { ...one, name: "other" })).toBe(false);
  expect(sameDraft(one, { ...one, files: { a: "1" } })).toBe(false);
});
