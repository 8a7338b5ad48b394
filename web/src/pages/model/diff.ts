/** Which lines two texts do not share: Myers' algorithm, "An O(ND) Difference Algorithm" (1986). */

export interface Line {
  kind: "same" | "old" | "new";
  text: string;
  /** Line numbers, from 1; null where the line is not in that text. */
  before: number | null;
  after: number | null;
}

/** Two texts that differ more are shown as wholly different: the search would take too long. */
const MAX_EDITS = 2000;

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
  // The furthest place in `a` that each diagonal reaches, from -most - 1 to most + 1.
  const reach = new Int32Array(2 * most + 3);
  const zero = most + 1;
  const trace: Int32Array[] = [];
  for (let depth = 0; depth <= most; depth += 1) {
    trace.push(reach.slice(zero - depth - 1, zero + depth + 2));
    for (let k = -depth; k <= depth; k += 2) {
      let x = goesDown(reach, zero, k, depth) ? at(reach, zero + k + 1) : at(reach, zero + k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach[zero + k] = x;
      if (x >= a.length && x - k >= b.length) return back(trace, a.length, b.length);
    }
  }
  return [...Array<Line["kind"]>(a.length).fill("old"), ...Array<Line["kind"]>(b.length).fill("new")];
}

/** Whether a diagonal is best reached from the one above it: by a line of `b`. */
function goesDown(reach: Int32Array, zero: number, k: number, depth: number): boolean {
  return k === -depth || (k !== depth && at(reach, zero + k - 1) < at(reach, zero + k + 1));
}

function at(reach: Int32Array, index: number): number {
  return reach[index] ?? 0;
}

/** The way back through what was reached with each number of edits. */
function back(trace: readonly Int32Array[], endX: number, endY: number): Line["kind"][] {
  const found: Line["kind"][] = [];
  let x = endX;
  let y = endY;
  for (let depth = trace.length - 1; depth >= 0; depth -= 1) {
    const reach = trace[depth] as Int32Array;
    const zero = depth + 1;
    const down = goesDown(reach, zero, x - y, depth);
    const from = x - y + (down ? 1 : -1);
    const fromX = depth === 0 ? 0 : at(reach, zero + from);
    const fromY = depth === 0 ? 0 : fromX - from;
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
    for (let each = index - around; each <= index + around; each += 1) near.add(each);
  }
  const found: (Line | null)[] = [];
  for (const [index, line] of lines.entries()) {
    if (near.has(index)) found.push(line);
    else if (found.length === 0 || found.at(-1) !== null) found.push(null);
  }
  return found;
}
