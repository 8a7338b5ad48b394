/// <reference types="node" />
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { untar } from "./tar";

const FILES = {
  "main.py": "def main() -> str:\n    return 'é'\n",
  "README.md": "",
  [`${"deep/".repeat(30)}é-${"long".repeat(30)}.py`]: "x = 1\n".repeat(200),
};
const folder = mkdtempSync(join(tmpdir(), "untar-"));
for (const [name, text] of Object.entries(FILES)) {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}
afterAll(() => rmSync(folder, { recursive: true }));

describe("the files come out of a tar", () => {
  test.each(["pax", "gnu"])("%s", (format) => {
    const packed = execFileSync("tar", [`--format=${format}`, "-C", folder, "-c", "."]);
    const found = untar(packed.buffer.slice(packed.byteOffset, packed.byteOffset + packed.length) as ArrayBuffer);
    expect(Object.fromEntries(found)).toEqual(FILES);
  });
});

test("what is no tar has no files", () => {
  expect(untar(new ArrayBuffer(100)).size).toBe(0);
  expect(untar(new TextEncoder().encode("x".repeat(2048)).buffer).size).toBe(0);
});
