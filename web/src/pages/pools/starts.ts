/** How long starts took, from the cumulative buckets in which they are counted. */

import { length } from "../../parts/text";

export interface Bucket {
  /** Starts that took at most so many seconds; null: all. */
  le: number | null;
  count: number;
}

export interface Starts {
  buckets: Bucket[];
  count: number;
  sum: number;
}

export interface Bar {
  label: string;
  count: number;
}

/** One bar for each bucket; empty ones at both ends are left out. */
export function barsOf(buckets: readonly Bucket[]): Bar[] {
  const ordered = buckets.toSorted((one, other) => bound(one) - bound(other));
  const bars = ordered.map((bucket, index) => {
    const before = ordered[index - 1];
    const label =
      bucket.le === null ? `> ${length(before?.le ?? 0)}` : `≤ ${length(bucket.le)}`;
    return { label, count: Math.max(0, bucket.count - (before?.count ?? 0)) };
  });
  const first = bars.findIndex((bar) => bar.count > 0);
  if (first < 0) return [];
  return bars.slice(Math.max(0, first - 1), bars.findLastIndex((bar) => bar.count > 0) + 2);
}

/** The bound below which a share of the starts is; null if it is above all bounds, or none started. */
export function within(starts: Starts, share: number): number | null {
  if (starts.count === 0) return null;
  const wanted = starts.count * share;
  const ordered = starts.buckets.toSorted((one, other) => bound(one) - bound(other));
  return ordered.find((bucket) => bucket.count >= wanted)?.le ?? null;
}

function bound(bucket: Bucket): number {
  return bucket.le ?? Number.POSITIVE_INFINITY;
}

/** How often a pod was waiting: "97.5 %"; "" if nothing was counted. */
export function rateOf(hits: number | null, misses: number | null): string {
  if (hits === null || misses === null || hits + misses === 0) return "";
  return `${((100 * hits) / (hits + misses)).toFixed(1)} %`;
}
