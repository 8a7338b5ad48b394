/** Which lines two texts do not share: Myers' algorithm, "An O(ND) Difference Algorithm" (1986). */

export interface Line {
  kind: "same" | "old" | "new";
  text: string;
  /** Line numbers, from 1; null where the line is not in that text. */
  before: number | null;
  after: number | null;
}

/** Two texts that differ more are shown as wholly different: the search would take too long. */
const MAX_EDITS = 4000;

/** The lines of both, in order. */
export function diff(before: string, after: string): Line[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = edits(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const kinds = [...Array<Line["kind"]>(start).fill("same"), ...middle, ...Array<Line["kind"]>(end).fill("same")];
  return numbered(kinds, a, b);
}

/** Without the newline at the end, which would make one more, empty line. */
function linesOf(text: string): string[] {
  if (text === "") return [];
  return text.replace(/\n$/, "").split("\n");
}

/** The shortest way from one list to the other, as kinds of lines. */
function edits(a: readonly string[], b: readonly string[]): Line["kind"][] {
  const most = Math.min(a.length + b.length, MAX_EDITS);
  // The furthest place in `a` that each diagonal reaches; kept for every number of edits.
  const reach = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let depth = 0; depth <= most; depth += 1) {
    trace.push(new Map(reach));
    for (let k = -depth; k <= depth; k += 2) {
      const down = k === -depth || (k !== depth && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = down ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return back(trace, a.length, b.length);
    }
  }
  return [...Array<Line["kind"]>(a.length).fill("old"), ...Array<Line["kind"]>(b.length).fill("new")];
}

/** The way back through the traces, turned around. */
function back(trace: readonly Map<number, number>[], endX: number, endY: number): Line["kind"][] {
  const found: Line["kind"][] = [];
  let x = endX;
  let y = endY;
  for (let depth = trace.length - 1; depth >= 0; depth -= 1) {
    const reach = trace[depth] as Map<number, number>;
    const k = x - y;
    const down = k === -depth || (k !== depth && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = depth === 0 ? 0 : (reach.get(fromK) ?? 0);
    const fromY = depth === 0 ? 0 : fromX - fromK;
    while (x > fromX && y > fromY) {
      found.push("same");
      x -= 1;
      y -= 1;
    }
    if (depth > 0) found.push(down ? "new" : "old");
    x = fromX;
    y = fromY;
  }
  return found.toReversed();
}

function numbered(kinds: readonly Line["kind"][], a: readonly string[], b: readonly string[]): Line[] {
  let before = 0;
  let after = 0;
  return kinds.map((kind) => {
    if (kind !== "new") before += 1;
    if (kind !== "old") after += 1;
    return {
      kind,
      text: (kind === "new" ? b[after - 1] : a[before - 1]) ?? "",
      before: kind === "new" ? null : before,
      after: kind === "old" ? null : after,
    };
  });
}

/** The changed lines with some around them; null stands for lines that are left out. */
export function hunks(lines: readonly Line[], around = 3): (Line | null)[] {
  const near = new Set<number>();
  for (const [index, line] of lines.entries()) {
    if (line.kind === "same") continue;
    for (let at = index - around; at <= index + around; at += 1) near.add(at);
  }
  const found: (Line | null)[] = [];
  for (const [index, line] of lines.entries()) {
    if (near.has(index)) found.push(line);
    else if (found.length === 0 || found.at(-1) !== null) found.push(null);
  }
  return found;
}
