/** A run that this page has started: followed while it goes, whole when it has ended. */

import { type Signal, signal } from "@preact/signals";
import { ask } from "../../api/client";
import { listen } from "../../api/events";
import type { Status, Summary } from "../../api/types";
import type { JsonObject } from "../../parts/form/json";
import { ended } from "../../parts/status";
import type { Prediction } from "./types";

/** Lines of the log that are shown: the run's own page has all. */
const TAIL = 12;
const TAIL_CHARACTERS = 20_000;
const POLL_MS = 3000;

export class Job {
  readonly id: string;
  readonly namespace: string;
  readonly createdAt: string;
  readonly status: Signal<Status>;
  readonly startedAt: Signal<string | null> = signal(null);
  /** The items of an iterator, or of anything that comes in pieces, so far. */
  readonly items: Signal<unknown[]> = signal([]);
  readonly log: Signal<string> = signal("");
  /** The prediction as the API has it; null until it has ended. */
  readonly whole: Signal<Prediction | null> = signal(null);
  readonly error: Signal<Error | null> = signal(null);
  private stopListening: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    created: Prediction,
    readonly input: JsonObject,
    /** The input to be shown: without secrets. */
    readonly shownInput: string,
  ) {
    this.id = created.id;
    this.namespace = created.namespace;
    this.createdAt = created.created_at;
    this.status = signal(created.status);
  }

  /** Follow it by the tab's stream of news. */
  follow(): void {
    this.stopListening = listen(
      { namespace: this.namespace, of: this.id },
      {
        prediction: (now) => this.hear(now),
        log: (text) => {
          this.log.value = tail(this.log.value + text);
        },
        output: (index, items) => {
          // What comes again after a cut takes the place of what was there.
          this.items.value = [...this.items.value.slice(0, index), ...items];
        },
        end: () => void this.look(),
        // Without the stream it is looked at now and then.
        live: (yes) => {
          if (yes) this.wait(null);
          else if (this.timer === undefined) this.wait(POLL_MS);
        },
      },
    );
  }

  /** Leave the stream to another one: a tab has only one. */
  rest(): void {
    if (this.whole.value) return;
    this.close();
    void this.look();
  }

  /** Forget it. */
  close(): void {
    this.wait(null);
    this.stopListening?.();
    this.stopListening = null;
  }

  /** Look again after a while; null: not any more. */
  private wait(ms: number | null): void {
    clearTimeout(this.timer);
    this.timer = ms === null ? undefined : setTimeout(() => void this.look(), ms);
  }

  private hear(now: Summary): void {
    this.status.value = now.status;
    this.startedAt.value = now.started_at;
    if (ended(now.status)) void this.look();
  }

  /** Ask for it as a whole; again a little later while it goes on. */
  private async look(): Promise<void> {
    this.wait(null);
    try {
      const found = await ask<Prediction>(`/predictions/${this.id}`, this.namespace);
      this.status.value = found.status;
      this.startedAt.value = found.started_at;
      this.error.value = null;
      if (ended(found.status)) {
        if (!this.log.value && found.logs) this.log.value = tail(found.logs);
        this.whole.value = found;
        // The cost of a tree is known when what it called has ended too.
        if (found.final === false) this.wait(POLL_MS);
        this.stopListening?.();
        this.stopListening = null;
        return;
      }
    } catch (error) {
      this.error.value = error as Error;
    }
    if (!this.whole.value) this.wait(POLL_MS);
  }
}

/** The last lines of a log. */
export function tail(text: string): string {
  const lines = text.slice(-TAIL_CHARACTERS).split("\n");
  const last = lines.at(-1) === "" ? TAIL + 1 : TAIL;
  return lines.slice(-last).join("\n");
}
