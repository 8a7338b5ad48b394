import { describe, expect, test } from "vitest";
import { made } from "../../api/made";
import type { Summary } from "../../api/types";
import { firstFailure } from "./first-failure";

function run(id: string, parent: string | null, depth: number, failedAt: string | null): Summary {
  const status = failedAt ? "failed" : "succeeded";
  return made(id, { parent, depth, status, completed_at: failedAt ?? "2026-11-01T00:00:09Z" });
}

describe("the first failure", () => {
  test("is the deepest one that failed before its parents", () => {
    const found = firstFailure([
      run("r", null, 1, "2026-11-01T00:00:05Z"),
      run("c", "r", 2, "2026-11-01T00:00:04Z"),
      run("g", "c", 3, "2026-11-01T00:00:03Z"),
      run("late", "r", 2, "2026-11-01T00:00:06Z"),
    ]);
    expect(found?.run.id).toBe("g");
    expect(found?.above.map((each) => each.id)).toEqual(["r", "c"]);
  });
  test("at the same moment is the deeper one", () => {
    const at = "2026-11-01T00:00:05Z";
    expect(firstFailure([run("r", null, 1, at), run("c", "r", 2, at)])?.run.id).toBe("c");
  });
  test("is the run itself, if it failed before what is below it", () => {
    const runs = [run("r", null, 1, "2026-11-01T00:00:01Z"), run("c", "r", 2, "2026-11-01T00:00:02Z")];
    expect(firstFailure(runs)).toMatchObject({ run: { id: "r" }, above: [] });
  });
  test("is none where none failed", () => {
    expect(firstFailure([run("r", null, 1, null)])).toBeNull();
  });
});
