/** A log as a page shows it: what came is drawn a frame at a time, however much came at once. */

import { type Signal, signal } from "@preact/signals";
import { CHUNK, LogLines } from "./log-lines";

/** Longer logs are not in the page as a whole. */
export const WHOLE = 20_000;
/** How many new chunks one frame may draw. */
const PER_FRAME = 10;

export class LogFeed {
  readonly lines = new LogLines();
  /** How many lines there are. */
  readonly count = signal(0);
  /** How many chunks the page draws by now. */
  readonly drawn = signal(0);
  private readonly versions = new Map<number, Signal<number>>();
  private readonly waiting: string[] = [];
  private asked = false;

  /** Add text; it is shown with the next frame. */
  append(text: string): void {
    this.waiting.push(text);
    this.ask();
  }

  /** Changes whenever the lines of this chunk do. */
  version(chunk: number): Signal<number> {
    const found = this.versions.get(chunk) ?? signal(0);
    this.versions.set(chunk, found);
    return found;
  }

  /** Draw the chunks up to one, at once. */
  drawUpTo(chunk: number): void {
    this.drawn.value = Math.max(this.drawn.peek(), Math.min(chunk + 1, this.lines.chunks.length));
  }

  private ask(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => this.frame());
  }

  private frame(): void {
    this.asked = false;
    const text = this.waiting.splice(0).join("");
    const changed = this.lines.append(text);
    const known = this.drawn.peek();
    if (changed >= 0) {
      for (let chunk = changed; chunk < known; chunk += 1) this.version(chunk).value += 1;
      this.count.value = this.lines.count;
    }
    const all = this.lines.chunks.length;
    // Of a longer log only what is seen is drawn: the places of the others cost little.
    this.drawn.value = all * CHUNK > WHOLE ? all : Math.min(all, known + PER_FRAME);
    if (this.drawn.peek() < all) this.ask();
  }
}
