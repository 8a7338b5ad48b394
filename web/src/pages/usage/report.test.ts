import { expect, test } from "vitest";
import { groupsOf, OTHERS, type Row, seriesOf } from "./report";

function row(day: string, pipeline: string, cost: string, predictions = 1): Row {
  return {
    day,
    pipeline,
    cost,
    predictions,
    currency: "USD",
    active_milliseconds: predictions * 1500,
    output_items: 0,
    input_tokens: 0,
    output_tokens: 0,
  };
}

const DAYS = ["2026-03-01", "2026-03-02"];
const ROWS = [
  row("2026-03-01", "a", "1"),
  row("2026-03-02", "a", "2"),
  row("2026-03-02", "b", "10", 2),
  row("2026-03-01", "c", "0.5", 9),
];

test("groups come by what is shown, the largest first", () => {
  expect(groupsOf(ROWS, "pipeline", "cost").map((each) => each.name)).toEqual(["b", "a", "c"]);
  expect(groupsOf(ROWS, "pipeline", "predictions").map((each) => each.name)).toEqual(["c", "a", "b"]);
  expect(groupsOf(ROWS, "pipeline", "time")[0]).toEqual({ name: "c", predictions: 9, seconds: 13.5, cost: 0.5 });
  expect(groupsOf(ROWS, "day", "cost").map((each) => each.name)).toEqual(DAYS);
});

test("each group has its bar of each day; the smaller ones are one", () => {
  expect(seriesOf(ROWS, DAYS, "pipeline", "cost", 3)).toEqual([
    { name: "b", values: [0, 10] },
    { name: "a", values: [1, 2] },
    { name: "c", values: [0.5, 0] },
  ]);
  expect(seriesOf(ROWS, DAYS, "pipeline", "cost", 2)).toEqual([
    { name: "b", values: [0, 10] },
    { name: OTHERS, values: [1.5, 2] },
  ]);
});

test("without groups, a day is one bar; what is no day of the span is left out", () => {
  const rows = [...ROWS, row("2020-01-01", "a", "99")];
  expect(seriesOf(rows, DAYS, "day", "cost", 7)).toEqual([{ name: "All", values: [1.5, 12] }]);
  expect(seriesOf([], DAYS, "pipeline", "cost", 7)).toEqual([]);
});
