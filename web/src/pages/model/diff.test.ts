import { expect, test } from "vitest";
import { diff, hunks } from "./diff";

const many = (word: string) => Array.from({ length: 6000 }, (_, index) => `${word}${index}`).join("\n");

const marks = (before: string, after: string) =>
  diff(before, after).map((each) => ({ same: " ", old: "-", new: "+" })[each.kind] + each.text);

test("one line changed", () => {
  expect(marks("a\nb\nc\n", "a\nB\nc\n")).toEqual([" a", "-b", "+B", " c"]);
});

test("the paper's example has the shortest way", () => {
  const found = diff("A\nB\nC\nA\nB\nB\nA", "C\nB\nA\nB\nA\nC");
  expect(found.filter((each) => each.kind !== "same")).toHaveLength(5);
});

test.each([
  ["", ""],
  ["", "a\nb"],
  ["a\nb", ""],
  ["a\n\nb\n", "a\nb\n\n"],
  ["x\ny\nz\nx", "y\nx\nz\nz\ny"],
])("both texts are in it: %j, %j", (before, after) => {
  const found = diff(before, after);
  const side = (not: string) => found.filter((each) => each.kind !== not).map((each) => each.text).join("\n");
  expect(side("new")).toBe(before.replace(/\n$/, ""));
  expect(side("old")).toBe(after.replace(/\n$/, ""));
});

test("random texts come out whole, and lines are numbered", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  for (let round = 0; round < 200; round += 1) {
    const text = () => Array.from({ length: random(12) }, () => "abc"[random(3)]).join("\n");
    const [before, after] = [text(), text()];
    const found = diff(before, after);
    const old = found.filter((each) => each.kind !== "new");
    const current = found.filter((each) => each.kind !== "old");
    expect(old.map((each) => each.text).join("\n")).toBe(before);
    expect(current.map((each) => each.text).join("\n")).toBe(after);
    expect(old.map((each) => each.before)).toEqual(old.map((_, index) => index + 1));
    expect(current.map((each) => each.after)).toEqual(current.map((_, index) => index + 1));
  }
});

test("texts that share nothing, and large ones, end soon", () => {
  expect(diff(many("a"), many("b"))).toHaveLength(12_000);
}, 10_000);

test("unchanged lines far from changes are left out", () => {
  const before = Array.from({ length: 20 }, (_, index) => `${index}`).join("\n");
  const found = hunks(diff(before, before.replace("10", "ten")));
  expect(found).toHaveLength(1 + 3 + 2 + 3 + 1);
  expect(found[0]).toBe(null);
  expect(found.at(-1)).toBe(null);
});
