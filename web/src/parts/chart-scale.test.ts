import { expect, test } from "vitest";
import { labelled, stacked, sums, ticks } from "./chart-scale";

test.each([
  [8, [0, 2, 4, 6, 8]],
  [10, [0, 5, 10]],
  [1, [0, 0.5, 1]],
  [0.0003, [0, 0.0001, 0.0002, 0.0003]],
  [297, [0, 100, 200, 300]],
  [1e9, [0, 5e8, 1e9]],
])("ticks up to %d are round", (largest, wanted) => {
  expect(ticks(largest)).toEqual(wanted);
});

test("the last tick is never below the largest value, and there are few", () => {
  for (let value = 1e-12; value < 1e12; value *= 1.37) {
    const found = ticks(value);
    expect(found.at(-1)).toBeGreaterThanOrEqual(value * (1 - 1e-9));
    expect(found.length).toBeGreaterThanOrEqual(2);
    expect(found.length).toBeLessThanOrEqual(6);
  }
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("an axis without values is from 0 to 1: %d", (odd) => {
  expect(ticks(odd)).toEqual([0, 1]);
});

test("pieces lie on each other; a correction below zero has none", () => {
  const series = [
    { name: "a", values: [1, 0] },
    { name: "b", values: [-2, 4] },
    { name: "c", values: [3] },
  ];
  expect(stacked(series, 0)).toEqual([
    { series: 0, from: 0, to: 1 },
    { series: 2, from: 1, to: 4 },
  ]);
  expect(stacked(series, 1)).toEqual([{ series: 1, from: 0, to: 4 }]);
  expect(sums(series, 2)).toEqual([2, 4]);
});

test("labels don't touch each other", () => {
  expect(labelled(3, 600, 64)).toEqual([0, 1, 2]);
  expect(labelled(30, 640, 64)).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
  expect(labelled(30, 0, 64)).toEqual([0]);
  expect(labelled(0, 640, 64)).toEqual([]);
});
