/** The lines of a log as its text comes, kept in chunks so that a page can show some of them. */

import { type Look, lookAfter, PLAIN, plain } from "./ansi";

/** How many lines a chunk has. */
export const CHUNK = 200;

export interface Chunk {
  /** The index of its first line. */
  first: number;
  lines: string[];
  /** The look that its first line begins with. */
  look: Look;
}

/** A line that was not ended is shown too; what follows goes on with it. */
export class LogLines {
  readonly chunks: Chunk[] = [];
  /** How many bytes of text came, about: UTF-16 units. */
  size = 0;
  private open = "";
  private look = PLAIN;

  /** How many lines there are, with the one that is not ended. */
  get count(): number {
    return this.closed + (this.open === "" ? 0 : 1);
  }

  private get closed(): number {
    const last = this.chunks.at(-1);
    return last ? last.first + last.lines.length - (this.hasOpen ? 1 : 0) : 0;
  }

  private hasOpen = false;

  /** Add text. Returns the index of the first chunk that is not as it was; -1 if none changed. */
  append(text: string): number {
    if (text === "") return -1;
    this.size += text.length;
    const pieces = (this.open + text).split("\n");
    this.dropOpen();
    const firstChanged = Math.floor(this.closed / CHUNK);
    const rest = pieces.pop() ?? "";
    for (const piece of pieces) this.add(overwritten(piece));
    // What was overwritten is forgotten: a bar may go on for hours without an end of its line.
    this.open = overwritten(rest) + (rest.endsWith("\r") ? "\r" : "");
    if (rest !== "") {
      this.push(overwritten(rest));
      this.hasOpen = true;
    }
    return firstChanged;
  }

  /** A line, with its codes. */
  line(index: number): string {
    return this.chunks[Math.floor(index / CHUNK)]?.lines[index % CHUNK] ?? "";
  }

  /** The lines from one on that contain a word, whatever its case. */
  find(word: string, from = 0, most = 100_000): number[] {
    const wanted = word.toLowerCase();
    const found: number[] = [];
    if (wanted === "") return found;
    for (let index = from; index < this.count && found.length < most; index += 1) {
      if (plain(this.line(index)).toLowerCase().includes(wanted)) found.push(index);
    }
    return found;
  }

  private add(line: string): void {
    this.push(line);
    this.look = lookAfter(line, this.look);
  }

  private push(line: string): void {
    const last = this.chunks.at(-1);
    if (last && last.lines.length < CHUNK) last.lines.push(line);
    else this.chunks.push({ first: this.chunks.length * CHUNK, lines: [line], look: this.look });
  }

  private dropOpen(): void {
    if (!this.hasOpen) return;
    this.hasOpen = false;
    this.chunks.at(-1)?.lines.pop();
    if (this.chunks.at(-1)?.lines.length === 0) this.chunks.pop();
  }
}

/** What a terminal shows of a line in which carriage returns go back to its begin. */
export function overwritten(line: string): string {
  if (!line.includes("\r")) return line;
  const parts = line.split("\r").filter((each) => each !== "");
  return parts.at(-1) ?? "";
}

/** The parts of a text that are links to web pages, and those that are not. */
export function withLinks(text: string): { text: string; link: boolean }[] {
  if (!text.includes("://")) return [{ text, link: false }];
  const parts: { text: string; link: boolean }[] = [];
  let at = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s"'<>`\\^{}|]+/g)) {
    // What ends a sentence around the link is no part of it.
    const link = match[0].replace(/[.,;:!?)\]]+$/, "");
    if (match.index > at) parts.push({ text: text.slice(at, match.index), link: false });
    parts.push({ text: link, link: true });
    at = match.index + link.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), link: false });
  return parts;
}
