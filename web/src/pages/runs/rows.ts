/** The rows of the list: each is a signal of its own, so that only what changes is drawn again. */

import { type Signal, signal } from "@preact/signals";
import type { Summary } from "../../api/types";

export class RunRows {
  /** The ids of the rows, newest first. */
  readonly order = signal<readonly string[]>([]);
  /** New runs that are not shown yet, because somebody reads what is shown. */
  readonly held = signal<readonly Summary[]>([]);
  private readonly rows = new Map<string, Signal<Summary>>();

  /** The row with this id, which must be in the order. */
  row(id: string): Signal<Summary> {
    return this.rows.get(id) as Signal<Summary>;
  }

  has(id: string): boolean {
    return this.rows.has(id);
  }

  /** Begin anew with the first page. */
  begin(runs: readonly Summary[]): void {
    this.rows.clear();
    for (const each of runs) this.rows.set(each.id, signal(each));
    this.held.value = [];
    this.order.value = runs.map((each) => each.id);
  }

  /** Add a page of older runs. */
  more(runs: readonly Summary[]): void {
    this.place(runs);
  }

  /**
   * Take in what changed.
   *
   * @param fits whether a run belongs to the list
   * @param hold whether new ones must wait until somebody wants to see them
   * @param whole whether the list has no older page; otherwise older runs come with their page
   */
  hear(runs: readonly Summary[], fits: (run: Summary) => boolean, hold: boolean, whole: boolean): void {
    const fresh: Summary[] = [];
    for (const each of runs) {
      const row = this.rows.get(each.id);
      if (row) {
        if (changed(row.peek(), each)) row.value = each;
      } else if (fits(each) && (whole || !this.isOlder(each))) fresh.push(each);
    }
    if (fresh.length === 0) return;
    if (!hold) this.place(fresh);
    else this.held.value = [...without(this.held.peek(), fresh), ...fresh];
  }

  /** Show the new ones. */
  show(): void {
    const held = this.held.peek();
    if (held.length === 0) return;
    this.held.value = [];
    this.place(held);
  }

  private place(runs: readonly Summary[]): void {
    const added = runs.filter((each) => !this.rows.has(each.id));
    for (const each of runs) {
      const row = this.rows.get(each.id);
      if (row) row.value = each;
      else this.rows.set(each.id, signal(each));
    }
    if (added.length === 0) return;
    const order = [...this.order.peek(), ...added.map((each) => each.id)];
    this.order.value = order.toSorted((one, other) => newer(this.row(one).peek(), this.row(other).peek()));
  }

  private isOlder(run: Summary): boolean {
    const last = this.order.peek().at(-1);
    return last !== undefined && newer(this.row(last).peek(), run) < 0;
  }
}

function newer(one: Summary, other: Summary): number {
  const difference = Date.parse(other.created_at) - Date.parse(one.created_at);
  return difference || (one.id < other.id ? 1 : -1);
}

function without(runs: readonly Summary[], others: readonly Summary[]): Summary[] {
  const ids = new Set(others.map((each) => each.id));
  return runs.filter((each) => !ids.has(each.id));
}

function changed(one: Summary, other: Summary): boolean {
  return JSON.stringify(one) !== JSON.stringify(other);
}
