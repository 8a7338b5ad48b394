/**
 * JSON that stays as it was written. JavaScript's own parser rounds large integers, makes 1 of 1.0,
 * and sorts keys that look like numbers; here a number is its text, and an object a Map.
 */

/** A number, by its digits. */
export class Exact {
  constructor(readonly text: string) {}
}

export type Json = null | boolean | string | Exact | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

/** What is wrong with a text that should be JSON, and where. */
export class JsonError extends Error {
  constructor(
    readonly words: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(`Line ${line}, column ${column}: ${words}`);
  }
}

const MAX_DEPTH = 200;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const BLANKS = /[ \t\n\r]*/y;
const WORD = /[A-Za-z_$][\w$]*/y;
const WORDS: ReadonlyMap<string, Json> = new Map<string, Json>([
  ["true", true],
  ["false", false],
  ["null", null],
]);

class Reader {
  at = 0;

  constructor(readonly text: string) {}

  error(words: string, at = this.at): JsonError {
    const before = this.text.slice(0, at);
    const start = before.lastIndexOf("\n") + 1;
    return new JsonError(words, before.split("\n").length, at - start + 1);
  }

  match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    if (found !== null) this.at += found.length;
    return found;
  }

  /** The next character that says something; "" at the end. */
  peek(): string {
    this.match(BLANKS);
    return this.text[this.at] ?? "";
  }

  value(depth: number): Json {
    const next = this.peek();
    if (next === "") throw this.error("A value is missing at the end.");
    if (depth > MAX_DEPTH) throw this.error("This is nested too deeply.");
    if (next === "{") return this.object(depth);
    if (next === "[") return this.list(depth);
    if (next === '"') return this.string();
    const number = this.match(NUMBER);
    if (number !== null) {
      if (/[\w.]/.test(this.text[this.at] ?? "")) throw this.error("This is not a number in JSON.");
      return new Exact(number);
    }
    return this.word(next);
  }

  private word(next: string): Json {
    const start = this.at;
    const word = this.match(WORD);
    const known = WORDS.get(word ?? "");
    if (known !== undefined) return known;
    if (next === "'") throw this.error('A text in JSON stands in "double quotes".');
    if (next === "}" || next === "]" || next === ",") throw this.error(`A value is missing before ${next}`);
    if (word !== null && WORDS.has(word.toLowerCase())) {
      throw this.error(`Write ${word.toLowerCase()}, in small letters.`, start);
    }
    throw this.error(`${word ?? next} is no value: a text stands in "double quotes".`, start);
  }

  private string(): string {
    const start = this.at;
    // No pattern: on a text of megabytes it would need too deep a stack.
    let close = this.text.indexOf('"', start + 1);
    while (close > 0 && this.escapes(close)) close = this.text.indexOf('"', close + 1);
    if (close > 0) {
      try {
        const found = JSON.parse(this.text.slice(start, close + 1)) as string;
        this.at = close + 1;
        return found;
      } catch {
        // What is wrong with it is said below.
      }
    }
    const end = this.text.slice(start).search(/[\n\r]/);
    if (end > 0) throw this.error("This text has no end on its line: write a line break as \\n.", start);
    throw this.error("This text has no end, or has a backslash that means nothing.", start);
  }

  /** Whether what stands at a place has an odd number of backslashes before it. */
  private escapes(at: number): boolean {
    let before = at - 1;
    while (this.text[before] === "\\") before -= 1;
    return (at - before) % 2 === 0;
  }

  private list(depth: number): Json[] {
    this.at += 1;
    const found: Json[] = [];
    if (this.closes("]")) return found;
    do found.push(this.value(depth + 1));
    while (this.continues("]"));
    return found;
  }

  private object(depth: number): JsonObject {
    this.at += 1;
    const found: JsonObject = new Map();
    if (this.closes("}")) return found;
    do {
      if (this.peek() !== '"') throw this.error('A name in "double quotes" is missing here.');
      const start = this.at;
      const name = this.string();
      if (found.has(name)) throw this.error(`The name ${JSON.stringify(name)} stands twice.`, start);
      if (this.peek() !== ":") throw this.error("A colon is missing after the name.");
      this.at += 1;
      found.set(name, this.value(depth + 1));
    } while (this.continues("}"));
    return found;
  }

  private closes(mark: string): boolean {
    if (this.peek() !== mark) return false;
    this.at += 1;
    return true;
  }

  private continues(mark: string): boolean {
    if (this.closes(mark)) return false;
    if (this.peek() !== ",") throw this.error(`A comma or ${mark} is missing here.`);
    this.at += 1;
    if (this.peek() === mark) throw this.error("There is a comma too many before this.");
    return true;
  }
}

/** Read JSON. Throws a JsonError. */
export function parse(text: string): Json {
  const reader = new Reader(text);
  const found = reader.value(0);
  if (reader.peek() !== "") throw reader.error("There is more after the end of the value.");
  return found;
}

/** Write JSON, on one line or indented by this many spaces. */
export function write(value: Json, indent = 0): string {
  return written(value, indent, "\n");
}

function written(value: Json, indent: number, line: string): string {
  if (value instanceof Exact) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = line + " ".repeat(indent);
  const gap = indent > 0 ? inner : "";
  const end = indent > 0 ? line : "";
  const comma = indent > 0 ? "," : ", ";
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[${value.map((each) => gap + written(each, indent, inner)).join(comma)}${end}]`;
  }
  if (value.size === 0) return "{}";
  const pairs = [...value].map(([name, each]) => `${gap}${JSON.stringify(name)}: ${written(each, indent, inner)}`);
  return `{${pairs.join(comma)}${end}}`;
}

/** Whether two values are written the same. */
export function same(one: Json | undefined, other: Json | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return write(one) === write(other);
}

/** A member of an object; undefined if it is none, or has no such member. */
export function get(value: Json | undefined, ...names: string[]): Json | undefined {
  let found = value;
  for (const name of names) {
    if (!(found instanceof Map)) return undefined;
    found = found.get(name);
  }
  return found;
}

/** A value as JavaScript has it, for what needs no exactness. */
export function plain(value: Json): unknown {
  if (value instanceof Exact) return Number(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, each]) => [name, plain(each)]));
  return value;
}

/** A value of JavaScript as JSON that this module writes. */
export function exact(value: unknown): Json {
  return parse(JSON.stringify(value) ?? "null");
}
