/** The list as it lives: its rows and ticks, its pages, and the stream of what is new. */

import { signal } from "@preact/signals";
import { ask, follow } from "../../api/client";
import { listen } from "../../api/events";
import type { Page, Summary } from "../../api/types";
import { asked, type Filters, filtersOf, fits } from "./filters";
import { RunRows } from "./rows";

const PAGE = 100;
const MOST = 500;
const POLL_MS = 10_000;
const TOP_PX = 80;

/** What the page knows: the rows, the ticks, and how to get more. */
export class RunList {
  readonly rows = new RunRows();
  readonly ticked = signal<ReadonlySet<string>>(new Set());
  readonly loading = signal(true);
  readonly growing = signal(false);
  readonly error = signal<Error | null>(null);
  readonly next = signal<string | null>(null);
  readonly live = signal(true);
  private where = "";
  private filters = filtersOf(new URLSearchParams());
  private running = new AbortController();
  private stop: (() => void) | undefined;

  /** Show other runs, and listen to them until the returned function is called. */
  open(where: string, filters: Filters): () => void {
    this.where = where;
    this.filters = filters;
    this.ticked.value = new Set();
    this.loading.value = true;
    this.live.value = true;
    this.reload();
    const polling = setInterval(() => {
      if (!this.live.peek() && !document.hidden) void this.catchUp();
    }, POLL_MS);
    const seen = () => {
      if (!document.hidden) void this.catchUp();
    };
    const scrolled = () => {
      if (!this.isRead()) this.rows.show();
    };
    document.addEventListener("visibilitychange", seen);
    addEventListener("scrollend", scrolled);
    return () => {
      this.stop?.();
      this.stop = undefined;
      clearInterval(polling);
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("scrollend", scrolled);
      this.running.abort();
    };
  }

  /** Load the first page anew. */
  readonly reload = () => {
    this.running.abort();
    this.running = new AbortController();
    if (this.where === "") {
      this.rows.begin([]);
      this.loading.value = false;
      return;
    }
    void this.load(this.running.signal);
  };

  private listen(): () => void {
    let cut = false;
    return listen(
      { namespace: this.where, list: true },
      {
        rows: (runs) => this.hear(runs),
        live: (yes) => {
          // What was missed meanwhile is in nobody's stream any more.
          if (yes && cut) void this.catchUp();
          cut = !yes;
          this.live.value = yes;
        },
      },
    );
  }

  private async load(wanted: AbortSignal): Promise<void> {
    try {
      const page = await this.first(PAGE, wanted);
      if (wanted.aborted) return;
      this.rows.begin(page.results);
      this.next.value = page.next;
      this.error.value = null;
      // Only now: who may not list has nothing to listen to.
      this.stop ??= this.listen();
    } catch (error) {
      if (wanted.aborted) return;
      this.rows.begin([]);
      this.error.value = error as Error;
    }
    this.loading.value = false;
  }

  private first(limit: number, wanted: AbortSignal): Promise<Page<Summary>> {
    const told = { ...asked(this.filters), limit };
    return ask<Page<Summary>>("/predictions/summaries", this.where, { query: told, signal: wanted });
  }

  /** Load the next page of older runs. */
  readonly older = async () => {
    const link = this.next.peek();
    if (!link || this.growing.peek()) return;
    const wanted = this.running.signal;
    this.growing.value = true;
    try {
      const page = await follow<Page<Summary>>(link, wanted);
      if (wanted.aborted) return;
      this.rows.more(page.results);
      this.next.value = page.next;
      this.error.value = null;
    } catch (error) {
      if (!wanted.aborted) this.error.value = error as Error;
    } finally {
      this.growing.value = false;
    }
  };

  /** Read again what is shown, after the stream was cut. */
  private async catchUp(): Promise<void> {
    if (this.loading.peek()) return;
    const wanted = this.running.signal;
    try {
      let left = this.rows.order.peek().length;
      let page = await this.first(Math.min(MOST, Math.max(PAGE, left)), wanted);
      for (;;) {
        if (wanted.aborted) return;
        this.hear(page.results);
        left -= page.results.length;
        if (left <= 0 || !page.next) break;
        page = await follow<Page<Summary>>(page.next, wanted);
      }
      this.error.value = null;
    } catch (error) {
      if (!wanted.aborted && this.rows.order.peek().length === 0) this.error.value = error as Error;
    }
  }

  private hear(runs: Summary[]): void {
    this.rows.hear(runs, (run) => fits(run, this.filters), this.isRead(), this.next.peek() === null);
  }

  /** Whether somebody reads below the top, has ticked rows, or is in the list with the keyboard. */
  private isRead(): boolean {
    if (scrollY > TOP_PX || this.ticked.peek().size > 0) return true;
    return document.querySelector(".runs tbody :focus-visible") !== null;
  }
}
