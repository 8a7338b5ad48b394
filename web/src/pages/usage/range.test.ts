import { expect, test } from "vitest";
import { customProblem, daysOf, lastOf, rangeOf } from "./range";

const NOW = Date.parse("2026-03-02T23:59:59Z");

test.each([
  ["", "2026-03-01", "2026-04-01"],
  ["no such", "2026-03-01", "2026-04-01"],
  ["last-month", "2026-02-01", "2026-03-01"],
  ["7d", "2026-02-24", "2026-03-03"],
  ["30d", "2026-02-01", "2026-03-03"],
])("%j is from %s until before %s", (name, from, to) => {
  expect(rangeOf(name, "", "", NOW)).toEqual({ from, to });
});

test("the month before January is December", () => {
  const january = Date.parse("2026-01-31T00:00:00Z");
  expect(rangeOf("last-month", "", "", january)).toEqual({ from: "2025-12-01", to: "2026-01-01" });
});

test("a chosen last day is in the span", () => {
  const range = rangeOf("custom", "2026-02-27", "2026-02-28", NOW);
  expect(range).toEqual({ from: "2026-02-27", to: "2026-03-01" });
  expect(lastOf(range)).toBe("2026-02-28");
});

test.each([
  ["", "2026-01-01"],
  ["2026-01-02", "2026-01-01"],
  ["2026-02-30", "2026-03-01"],
  ["2024-01-01", "2026-01-01"],
  ["x", "y"],
])("%j to %j can't be chosen: it is this month", (first, last) => {
  expect(customProblem(first, last)).not.toBe("");
  expect(rangeOf("custom", first, last, NOW).from).toBe("2026-03-01");
});

test("days without usage are there, days to come are not", () => {
  expect(daysOf({ from: "2026-03-01", to: "2026-04-01" }, NOW)).toEqual(["2026-03-01", "2026-03-02"]);
  expect(daysOf({ from: "2026-02-27", to: "2026-03-01" }, NOW)).toEqual(["2026-02-27", "2026-02-28"]);
});
