import { describe, expect, test } from "vitest";
import { made } from "../api/made";
import type { Summary } from "../api/types";
import { sum } from "./decimal";
import { piecesOf, rowsOf, scaleOf, ticks, windowOf } from "./timeline-layout";

const NOW = Date.parse("2026-11-01T00:01:00Z");

function run(id: string, parent: string | null, words: Partial<Summary> = {}): Summary {
  return made(id, { parent, ...words });
}

describe("rows", () => {
  test("children stand below their parent, older first, whatever the order they come in", () => {
    const rows = rowsOf(
      [run("c2", "r", { created_at: "2026-11-01T00:00:02Z" }), run("g", "c1"), run("c1", "r"), run("r", null)],
      new Set(),
    );
    expect(rows.map((each) => [each.run.id, each.level, each.below])).toEqual([
      ["r", 1, 3],
      ["c1", 2, 1],
      ["g", 3, 0],
      ["c2", 2, 0],
    ]);
  });
  test("what is below a folded one is not shown, but counted", () => {
    const rows = rowsOf([run("r", null), run("c", "r"), run("g", "c")], new Set(["c"]));
    expect(rows.map((each) => each.run.id)).toEqual(["r", "c"]);
    expect(rows[1]).toMatchObject({ below: 1, folded: true });
  });
  test("a tree of 250 levels and 10,000 runs takes no recursion", () => {
    const deep = Array.from({ length: 250 }, (_, at) => run(`d${at}`, at === 0 ? null : `d${at - 1}`));
    const wide = Array.from({ length: 9750 }, (_, at) => run(`w${at}`, "d0"));
    const rows = rowsOf([...deep, ...wide], new Set());
    expect(rows).toHaveLength(10_000);
    expect(Math.max(...rows.map((each) => each.level))).toBe(250);
  });
  test("a run whose parent is not known is a root", () => {
    expect(rowsOf([run("x", "elsewhere")], new Set())[0]?.level).toBe(1);
  });
});

describe("bars", () => {
  const ended = run("r", null, { started_at: "2026-11-01T00:00:10Z", completed_at: "2026-11-01T00:00:40Z" });
  test("from create: waiting, then active", () => {
    const scale = scaleOf([ended], "create", NOW);
    expect(scale.span).toBe(40_000);
    expect(piecesOf(ended, scale, "create", NOW)).toEqual([
      { kind: "waiting", at: 0, width: 0.25 },
      { kind: "active", at: 0.25, width: 0.75 },
    ]);
  });
  test("from start: the queue takes no place", () => {
    const scale = scaleOf([ended], "start", NOW);
    expect(piecesOf(ended, scale, "start", NOW)).toEqual([{ kind: "active", at: 0, width: 1 }]);
  });
  test("what goes on reaches until now; what never started has waited", () => {
    const waits = run("w", null);
    const scale = scaleOf([waits], "create", NOW);
    expect(scale.span).toBe(60_000);
    expect(piecesOf(waits, scale, "create", NOW)).toEqual([{ kind: "waiting", at: 0, width: 1 }]);
    expect(scaleOf([waits], "start", NOW).span).toBe(1);
  });
});

test("a window has some rows more than are seen", () => {
  expect(windowOf(3000, 36, 36_000, 720)).toEqual({ first: 980, last: 1040 });
  expect(windowOf(10, 36, 0, 720)).toEqual({ first: 0, last: 10 });
});

test("ticks are round and few", () => {
  expect(ticks(40_000).map((each) => each.seconds)).toEqual([0, 10, 20, 30, 40]);
  expect(ticks(3).length).toBeLessThan(7);
});

test("sums are exact", () => {
  expect(sum(["0.1", "0.2", "1"])).toBe("1.3");
  expect(sum(["0.0000003", "-0.0000004"])).toBe("-0.0000001");
  expect(sum([])).toBe("0");
  expect(sum(["12345678901234567890.5", "0.5"])).toBe("12345678901234567891");
});
