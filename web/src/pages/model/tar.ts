/** Reads the tar in which a version's files come. */

const BLOCK = 512;

/** Text files by path. What a pipeline's tar has no use for (links, folders) is passed over. */
export function untar(archive: ArrayBuffer): Map<string, string> {
  const found = new Map<string, string>();
  const decoder = new TextDecoder();
  const text = (start: number, size: number) => decoder.decode(new Uint8Array(archive, start, size)).replace(/\0[^]*$/, "");
  let at = 0;
  let longName = "";
  while (at + BLOCK <= archive.byteLength) {
    const name = text(at, 100);
    if (name === "") break;
    const size = Number.parseInt(text(at + 124, 12).trim() || "0", 8);
    const kind = text(at + 156, 1);
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const start = at + BLOCK;
    if (!(size >= 0) || start + size > archive.byteLength) break;
    if (kind === "x") longName = paxPath(new Uint8Array(archive, start, size));
    else if (kind === "L") longName = text(start, size);
    else {
      const path = longName || (prefix ? `${prefix}/${name}` : name);
      if (kind === "" || kind === "0") found.set(path.replace(/^\.\//, ""), decoder.decode(new Uint8Array(archive, start, size)));
      longName = "";
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return found;
}

/** The path that an extended header gives: records of "length key=value\n", in bytes. */
function paxPath(header: Uint8Array): string {
  const record = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(new TextDecoder().decode(header));
  return record?.[1] ?? "";
}
