/** Reads the tar in which the API gives a version's source: regular files of text. */

const BLOCK = 512;
const UTF8 = new TextDecoder();

/** The files of a tar, by name. Throws if it is cut short. */
export function untar(archive: Uint8Array): Record<string, string> {
  const files: Record<string, string> = {};
  let longName = "";
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const head = archive.subarray(at, at + BLOCK);
    if (head.every((byte) => byte === 0)) break;
    const size = Number.parseInt(text(head, 124, 12).trim() || "0", 8);
    const end = at + BLOCK + size;
    if (!Number.isFinite(size) || end > archive.length) throw new Error("The source is cut short.");
    const data = archive.subarray(at + BLOCK, end);
    const kind = text(head, 156, 1);
    if (kind === "x") longName = pathOf(data) || longName;
    else if (kind === "L") longName = text(data, 0, data.length);
    else {
      if (kind === "0" || kind === "") files[longName || nameOf(head)] = UTF8.decode(data);
      longName = "";
    }
    at = end + ((BLOCK - (size % BLOCK)) % BLOCK);
  }
  return files;
}

function nameOf(head: Uint8Array): string {
  const before = text(head, 345, 155);
  const isUstar = text(head, 257, 5) === "ustar";
  const name = text(head, 0, 100);
  return isUstar && before ? `${before}/${name}` : name;
}

/** The `path` of a pax header: records of "<length> <key>=<value>\n". */
function pathOf(records: Uint8Array): string {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(UTF8.decode(records))?.[1] ?? "";
}

/** Text that ends at its field's end, or before a zero. */
function text(bytes: Uint8Array, from: number, length: number): string {
  const field = bytes.subarray(from, from + length);
  const zero = field.indexOf(0);
  return UTF8.decode(zero < 0 ? field : field.subarray(0, zero));
}
