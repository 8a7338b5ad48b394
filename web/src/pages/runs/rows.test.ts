import { effect } from "@preact/signals";
import { describe, expect, test } from "vitest";
import { made } from "../../api/made";
import type { Summary } from "../../api/types";
import { asked, type Filters, filtersOf, fits, isFiltered } from "./filters";
import { RunRows } from "./rows";

function run(id: string, second: number, words: Partial<Summary> = {}): Summary {
  const created = new Date(second * 1000).toISOString();
  return made(id, { status: "processing", inputs: [["prompt", "A red fox"]], created_at: created, ...words });
}

function of(search: string): Filters {
  return filtersOf(new URLSearchParams(search));
}

const all = () => true;

describe("rows", () => {
  test("new runs stand above older ones, wherever they come from", () => {
    const rows = new RunRows();
    rows.begin([run("b", 2), run("a", 1)]);
    rows.hear([run("d", 4), run("c", 3)], all, false, true);
    rows.more([run("old", 0)]);
    expect(rows.order.value).toEqual(["d", "c", "b", "a", "old"]);
  });
  test("they wait while somebody reads, once each, and as they are at last", () => {
    const rows = new RunRows();
    rows.begin([run("a", 1)]);
    rows.hear([run("b", 2)], all, true, true);
    rows.hear([run("b", 2, { status: "failed" }), run("c", 3)], all, true, true);
    expect(rows.order.value).toEqual(["a"]);
    expect(rows.held.value).toHaveLength(2);
    rows.show();
    expect(rows.order.value).toEqual(["c", "b", "a"]);
    expect(rows.row("b").value.status).toBe("failed");
    expect(rows.held.value).toEqual([]);
  });
  test("a change touches its own row only, and none if nothing changed", () => {
    const rows = new RunRows();
    rows.begin([run("b", 2), run("a", 1)]);
    let drawn = 0;
    effect(() => {
      void rows.order.value;
      void rows.row("b").value;
      drawn += 1;
    });
    rows.hear([run("a", 1, { status: "succeeded" }), run("b", 2)], all, false, true);
    expect(drawn).toBe(1);
    expect(rows.row("a").value.status).toBe("succeeded");
  });
  test("a run of an older page comes with its page", () => {
    const rows = new RunRows();
    rows.begin([run("b", 5)]);
    rows.hear([run("a", 1)], all, false, false);
    expect(rows.order.value).toEqual(["b"]);
  });
});

describe("filters", () => {
  test("what the URL does not know is left out", () => {
    expect(of("status=failed,nonsense&kind=x&from=2026-13-99")).toMatchObject({ status: ["failed"], kind: "", from: "" });
    expect(isFiltered(of("children=yes"))).toBe(false);
    expect(isFiltered(of("q=x"))).toBe(true);
  });
  test("the last day counts whole", () => {
    const query = asked(of("from=2026-11-01&until=2026-11-01"));
    const hours = Date.parse(query.created_before as string) - Date.parse(query.created_after as string);
    expect(hours).toBe(86_400_000);
    expect(query.roots).toBe("true");
  });
  test("live rows are measured as the API measures them", () => {
    const one = run("abc", 1);
    expect(fits(one, of("q=fox red"))).toBe(true);
    expect(fits(one, of("q=ab"))).toBe(true);
    expect(fits(one, of("q=dog"))).toBe(false);
    expect(fits(one, of("status=failed,processing&model=a/draw&kind=pipeline"))).toBe(true);
    expect(fits(run("x", 1, { parent: "y" }), of(""))).toBe(false);
    expect(fits(run("x", 1, { parent: "y" }), of("children=yes"))).toBe(true);
  });
});
