/** The colours of terminals: what a line of a log shows, without the codes that ask for it. */

/** How text looks from here on. Colours: 0 to 15 by class, others as `#rrggbb`. */
export interface Look {
  ink: string;
  ground: string;
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underlined: boolean;
  inverse: boolean;
}

export interface Span {
  text: string;
  look: Look;
}

export const PLAIN: Look = {
  ink: "",
  ground: "",
  bold: false,
  faint: false,
  italic: false,
  underlined: false,
  inverse: false,
};

// CSI sequences, OSC sequences (titles, links), and the other escapes of two characters.
// oxlint-disable-next-line no-control-regex -- these are the control codes
const CODES = /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g;

/** The text without its codes. */
export function plain(line: string): string {
  return line.replace(CODES, "");
}

/** A line's spans, and the look that the next line begins with. */
export function spans(line: string, from: Look = PLAIN): { spans: Span[]; look: Look } {
  const found: Span[] = [];
  let look = from;
  let at = 0;
  for (const match of line.matchAll(CODES)) {
    if (match.index > at) found.push({ text: line.slice(at, match.index), look });
    at = match.index + match[0].length;
    if (match[2] === "m") look = changed(look, match[1] ?? "");
  }
  if (at < line.length) found.push({ text: line.slice(at), look });
  return { spans: found, look };
}

/** The look after a line, without making its spans. */
export function lookAfter(line: string, from: Look): Look {
  if (!line.includes("\x1b")) return from;
  return spans(line, from).look;
}

const SWITCHES: Record<number, Partial<Look>> = {
  1: { bold: true },
  2: { faint: true },
  3: { italic: true },
  4: { underlined: true },
  7: { inverse: true },
  22: { bold: false, faint: false },
  23: { italic: false },
  24: { underlined: false },
  27: { inverse: false },
  39: { ink: "" },
  49: { ground: "" },
};

function changed(look: Look, told: string): Look {
  const codes = told.split(/[;:]/).map((each) => Number(each) || 0);
  let now = look;
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) now = PLAIN;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      now = { ...now, [code === 38 ? "ink" : "ground"]: colour };
      at += used;
    } else if (SWITCHES[code]) now = { ...now, ...SWITCHES[code] };
    else now = { ...now, ...basic(code) };
  }
  return now;
}

function basic(code: number): Partial<Look> {
  if (code >= 30 && code <= 37) return { ink: String(code - 30) };
  if (code >= 90 && code <= 97) return { ink: String(code - 82) };
  if (code >= 40 && code <= 47) return { ground: String(code - 40) };
  if (code >= 100 && code <= 107) return { ground: String(code - 92) };
  return {};
}

/** A colour of 256 or of 16 million, and how many codes say it. */
function extended(codes: number[]): [string, number] {
  const [form, first = 0, second = 0, third = 0] = codes;
  if (form === 5) return [indexed(first & 255), 2];
  if (form === 2) return [hex(first, second, third), 4];
  return ["", codes.length];
}

function indexed(index: number): string {
  if (index < 16) return String(index);
  if (index >= 232) return hex(...(Array(3).fill(8 + (index - 232) * 10) as [number, number, number]));
  const steps = [0, 95, 135, 175, 215, 255];
  const cube = index - 16;
  const part = (size: number) => steps[Math.floor(cube / size) % 6] ?? 0;
  return hex(part(36), part(6), part(1));
}

function hex(...parts: [number, number, number]): string {
  return `#${parts.map((each) => (each & 255).toString(16).padStart(2, "0")).join("")}`;
}
