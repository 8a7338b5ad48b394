import { expect, test } from "vitest";
import { barsOf, rateOf, within } from "./starts";

const STARTS = {
  buckets: [
    { le: 0.1, count: 0 },
    { le: 0.25, count: 40 },
    { le: 0.5, count: 90 },
    { le: 1, count: 95 },
    { le: null, count: 100 },
  ],
  count: 100,
  sum: 42,
};

test("bars are the differences of the counts", () => {
  expect(barsOf(STARTS.buckets)).toEqual([
    { label: "≤ 100 ms", count: 0 },
    { label: "≤ 250 ms", count: 40 },
    { label: "≤ 500 ms", count: 50 },
    { label: "≤ 1.0 s", count: 5 },
    { label: "> 1.0 s", count: 5 },
  ]);
});

test("empty ends are left out; nothing started is no bar", () => {
  const shown = barsOf([0.1, 0.2, 0.3, 0.4, 0.5].map((le, index) => ({ le, count: index < 2 ? 0 : 7 })));
  expect(shown.map((bar) => bar.count)).toEqual([0, 7, 0]);
  expect(barsOf([{ le: 1, count: 0 }])).toEqual([]);
  expect(barsOf([])).toEqual([]);
});

test("a share is within a bound, or above all", () => {
  expect(within(STARTS, 0.5)).toBe(0.5);
  expect(within(STARTS, 0.95)).toBe(1);
  expect(within(STARTS, 0.99)).toBeNull();
  expect(within({ buckets: [], count: 0, sum: 0 }, 0.5)).toBeNull();
});

test("the rate of hits, where they are counted", () => {
  expect(rateOf(3, 1)).toBe("75.0 %");
  expect(rateOf(0, 0)).toBe("");
  expect(rateOf(null, null)).toBe("");
});
