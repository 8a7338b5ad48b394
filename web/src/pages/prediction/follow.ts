/** One run as it goes on: its state, log, output and tree, all from the page's one stream. */

import { computed, signal } from "@preact/signals";
import { ask } from "../../api/client";
import { listen } from "../../api/events";
import type { Summary } from "../../api/types";
import { sum } from "../../parts/decimal";
import { LogFeed } from "../../parts/log-feed";
import { ended } from "../../parts/status";
import type { Detail } from "./types";

const POLL_MS = 5000;

interface Timeline {
  results: Summary[];
  truncated: boolean;
}

export class Followed {
  readonly detail = signal<Detail | null>(null);
  readonly error = signal<Error | null>(null);
  readonly log = new LogFeed();
  /** The items of an output that comes in pieces. */
  readonly items = signal<readonly unknown[]>([]);
  /** The run and everything below it. */
  readonly runs = signal<ReadonlyMap<string, Summary>>(new Map());
  /** Whether the tree is larger than the API tells. */
  readonly truncated = signal(false);
  readonly live = signal(true);
  /** Whether the run has ended and all of it was told. */
  readonly over = signal(false);

  /** The run itself. */
  readonly run = computed(() => this.runs.value.get(this.id) ?? null);

  /** What the whole tree has cost so far, as far as its runs have ended. */
  readonly treeCost = computed(() =>
    sum([...this.runs.value.values()].flatMap((each) => (each.cost === null ? [] : [each.cost]))),
  );

  /** Whether nothing below the run goes on. */
  readonly settled = computed(() => [...this.runs.value.values()].every((each) => ended(each.status)));

  private readonly waiting = new Map<string, Summary>();
  private asked = false;
  private loading = new AbortController();

  constructor(readonly id: string) {}

  /** Load the run and listen to it until the returned function is called. */
  open(): () => void {
    let stop: (() => void) | undefined;
    let gone = false;
    void this.load().then(() => {
      if (!gone && this.detail.peek()) stop = this.listen();
    });
    const polling = setInterval(() => {
      if (!this.live.peek() && !document.hidden) void this.poll();
    }, POLL_MS);
    return () => {
      gone = true;
      stop?.();
      clearInterval(polling);
      this.loading.abort();
    };
  }

  /** Load the run itself, and again when it has ended. */
  readonly load = async () => {
    this.loading.abort();
    const mine = new AbortController();
    this.loading = mine;
    try {
      this.detail.value = await ask<Detail>(`/predictions/${this.id}`, "", { signal: mine.signal });
      this.error.value = null;
    } catch (error) {
      if (!mine.signal.aborted) this.error.value = error as Error;
    }
  };

  private listen(): () => void {
    return listen(
      { namespace: "", of: this.id },
      {
        prediction: (now) => this.hear([now]),
        tree: (runs) => this.hear(runs),
        log: (text) => this.log.append(text),
        output: (index, items) => this.add(index, items),
        live: (yes) => {
          this.live.value = yes;
        },
        end: () => {
          this.over.value = true;
          void this.load();
        },
      },
    );
  }

  private add(index: number, items: unknown[]): void {
    const before = this.items.peek().slice(0, index);
    this.items.value = [...before, ...items];
  }

  /** Take in what changed, once a frame: a large tree comes in many pieces. */
  private hear(runs: Summary[]): void {
    for (const each of runs) this.waiting.set(each.id, each);
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      const before = this.run.peek();
      this.runs.value = new Map([...this.runs.peek(), ...this.waiting]);
      this.waiting.clear();
      const now = this.run.peek();
      if (before && now && before.status !== now.status) void this.load();
    });
  }

  /** Without the stream: what can be asked for. */
  private async poll(): Promise<void> {
    try {
      const told = await ask<Timeline>(`/predictions/${this.id}/timeline`);
      this.truncated.value = told.truncated;
      this.hear(told.results);
      await this.load();
    } catch {
      // The note "reconnecting" is shown already.
    }
  }
}
