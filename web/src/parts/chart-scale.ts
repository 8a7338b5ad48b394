/** The arithmetic of charts: ticks at round numbers, bars on top of each other. */

export interface Series {
  name: string;
  /** One for each label; never negative in a chart, but corrections may make a day's sum so. */
  values: readonly number[];
}

/** Where the axis has lines, from 0 on: round numbers, the last one not below the largest value. */
export function ticks(largest: number, wanted = 4): number[] {
  if (!(largest > 0) || !Number.isFinite(largest)) return [0, 1];
  const rough = largest / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9)) ?? 10) * power;
  const many = Math.ceil(largest / step - 1e-9);
  return Array.from({ length: many + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** The sum of each bar. */
export function sums(series: readonly Series[], length: number): number[] {
  return Array.from({ length }, (_, at) => series.reduce((sum, each) => sum + (each.values[at] ?? 0), 0));
}

export interface Piece {
  series: number;
  from: number;
  to: number;
}

/** The pieces of one bar, from the bottom up. What is not above zero has no piece. */
export function stacked(series: readonly Series[], at: number): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const [index, each] of series.entries()) {
    const value = Math.max(0, each.values[at] ?? 0);
    if (value > 0) pieces.push({ series: index, from, to: from + value });
    from += value;
  }
  return pieces;
}

/** Which labels are shown below the bars, so that they don't touch: every n-th, from the first. */
export function labelled(length: number, width: number, each: number): number[] {
  const step = Math.max(1, Math.ceil((length * each) / Math.max(1, width)));
  return Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step);
}
