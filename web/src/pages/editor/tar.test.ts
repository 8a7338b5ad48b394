import { expect, test } from "vitest";
import { untar } from "./tar";

/** What Python's tarfile makes of a source with an umlaut, a full block, an empty file and a long name. */
const PYTHON = "H4sIAAAAAAACA+3XsW7CMBAGYM88xW3AQGI7DpEqUXXsyCu4ilsikRA5Rg3vw5vwYjUMlYBIWRoXlP8b7GwZft/pzpS1O0T1gQ2Ie0ulLrd3e3d8Z0oljDgLYN84bf0v2ThFcRS/rXX7bnRu7HD5d+T+m7lMk+v8BZciZdQi/8GJTFCt3Wa1LT7i7a76eryj0qXxHWrC4O+FiL23/wtxXf8JV9kS/T+E3JiaViRQXeOt/++dzZvIte5/5j95N/8JrrhE/YfQAsBolbqoBl7/+/d/ldzu/1Jx9P8w898nnd/AbE6LV2qcfZmQZ43b24qmp+MUkyEAAAAAAAAAAADAM/oBd2gG/AAoAAA=";

const packed = Uint8Array.from(atob(PYTHON), (each) => each.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const whole = new Uint8Array(await new Response(unpacked).arrayBuffer());

test("reads what Python's tarfile packs: folders, an empty file, UTF-8, names longer than the head", () => {
  const files = untar(whole);
  expect(Object.keys(files)).toEqual(["empty.py", `lib/${"long/".repeat(30)}name.py`, "lib/words.txt", "main.py"]);
  expect(files["main.py"]).toBe("def main() -> str:\n    return 'ä'\n");
  expect(files["empty.py"]).toBe("");
  expect(files["lib/words.txt"]).toBe("x".repeat(1024));
  expect(files[`lib/${"long/".repeat(30)}name.py`]).toBe("deep = 1\n");
});

test("nothing is in an empty archive", () => {
  expect(untar(new Uint8Array(0))).toEqual({});
  expect(untar(new Uint8Array(1024))).toEqual({});
});

test("an archive that is cut short is not half a source", () => {
  const end = whole.findLastIndex((byte) => byte !== 0);
  expect(() => untar(whole.subarray(0, end - 3))).toThrow("cut short");
});
