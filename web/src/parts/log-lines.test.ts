import { describe, expect, test } from "vitest";
import { PLAIN, plain, spans } from "./ansi";
import { CHUNK, LogLines, overwritten, withLinks } from "./log-lines";

describe("colours", () => {
  test("a line is cut where its look changes", () => {
    const { spans: found, look } = spans("a \x1b[33mwarning\x1b[0m: b");
    expect(found.map((each) => [each.text, each.look.ink])).toEqual([["a ", ""], ["warning", "3"], [": b", ""]]);
    expect(look).toEqual(PLAIN);
  });
  test("a look goes on in the next line", () => {
    const first = spans("\x1b[1;91mred");
    expect(first.look).toMatchObject({ bold: true, ink: "9" });
    expect(spans("still", first.look).spans[0]?.look.ink).toBe("9");
  });
  test("colours of 256 and of 16 million", () => {
    expect(spans("\x1b[38;5;196mx").look.ink).toBe("#ff0000");
    expect(spans("\x1b[48;2;1;2;3mx").look.ground).toBe("#010203");
    expect(spans("\x1b[38;5;4;1mx").look).toMatchObject({ ink: "4", bold: true });
  });
  test("other codes are not shown", () => {
    expect(plain("\x1b[2K\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b[?25l\x07")).toBe("ab");
  });
});

describe("lines", () => {
  test("text that comes in pieces makes the same lines", () => {
    const text = "one\ntwo\r\nthree\n\nfive";
    for (let cut = 0; cut <= text.length; cut += 1) {
      const log = new LogLines();
      log.append(text.slice(0, cut));
      log.append(text.slice(cut));
      expect(log.chunks[0]?.lines).toEqual(["one", "two", "three", "", "five"]);
      expect(log.count).toBe(5);
    }
  });
  test("a progress bar stays one line", () => {
    const log = new LogLines();
    for (const part of ["\r 10%", "\r 50%", "\r100%", "\ndone\n"]) log.append(part);
    expect(log.chunks[0]?.lines).toEqual(["100%", "done"]);
    expect(overwritten("a\rb\r")).toBe("b");
  });
  test("chunks know the look that they begin with", () => {
    const log = new LogLines();
    log.append(`\x1b[31m${"x\n".repeat(CHUNK)}y`);
    expect(log.chunks).toHaveLength(2);
    expect(log.chunks[1]?.look.ink).toBe("1");
    expect(log.append("z\n")).toBe(1);
    expect(log.count).toBe(CHUNK + 1);
  });
  test("an open line that a chunk began with goes away with it", () => {
    const log = new LogLines();
    log.append("x\n".repeat(CHUNK));
    expect(log.append("a")).toBe(1);
    expect(log.append("b\nc")).toBe(1);
    expect(log.chunks[1]?.lines).toEqual(["ab", "c"]);
  });
  test("finds words across colours, in all of 200,000 lines", () => {
    const log = new LogLines();
    log.append("no\n\x1b[1mEr\x1b[0mror here\n".repeat(100_000));
    expect(log.count).toBe(200_000);
    expect(log.find("error").length).toBe(100_000);
    expect(log.find("error", 199_999)).toEqual([199_999]);
    expect(log.find("")).toEqual([]);
  });
});

test("links are http only, without the end of the sentence", () => {
  expect(withLinks("see https://a.b/c?d=1). javascript:alert(1)")).toEqual([
    { text: "see ", link: false },
    { text: "https://a.b/c?d=1", link: true },
    { text: "). javascript:alert(1)", link: false },
  ]);
});
