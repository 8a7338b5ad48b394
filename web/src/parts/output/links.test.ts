import { describe, expect, test } from "vitest";
import { dataBytes, isFileLink, kindOfLink, kindOfType, localUrl, nameOfLink } from "./links";

const HERE = "https://mayfly.example";
const FILE = "/v1/files/0123456789abcdefghjkmnpqrs/download/cat.png?expires=1&signature=x";

describe("which texts are links to files", () => {
  test.each([
    "https://elsewhere.example/cat.PNG",
    "http://gateway:8080/v1/files/0123/download/x",
    "https://a.example/b.pdf?x=1",
    "data:image/png;base64,AAAA",
    "data:,hello",
  ])("%s", (text) => expect(isFileLink(text)).toBe(true));

  test.each([
    "https://example.com/page",
    "see https://a.example/cat.png",
    "cat.png",
    "data: is what we need",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "",
    "https://",
  ])("not %s", (text) => expect(isFileLink(text)).toBe(false));

  test("what the schema calls a file is one", () => {
    expect(isFileLink("https://example.com/page", true)).toBe(true);
    expect(isFileLink("javascript:alert(1)", true)).toBe(false);
  });
});

describe("where a link is fetched", () => {
  test("a file under another name of the gateway is the same file here", () => {
    expect(localUrl(`http://gateway.mayfly-system:8080${FILE}`, HERE)).toBe(FILE);
    expect(localUrl(`${HERE}/tools/mayfly${FILE}`, HERE)).toBe(`/tools/mayfly${FILE}`);
  });
  test("an upload's own URL says what it is; its bytes are beside it", () => {
    expect(localUrl(`${HERE}/v1/files/0123`, HERE)).toBe("/v1/files/0123/download");
    expect(localUrl(`${HERE}/v1/files/0123/download`, HERE)).toBe("/v1/files/0123/download");
  });
  test("others are not fetched", () => {
    expect(localUrl("https://elsewhere.example/cat.png", HERE)).toBe(null);
    expect(localUrl("javascript:alert(1)", HERE)).toBe(null);
    expect(localUrl("no link", HERE)).toBe(null);
  });
});

test("how a link is shown", () => {
  globalThis.location = { origin: HERE } as Location;
  expect(kindOfLink(HERE + FILE)).toBe("image");
  expect(kindOfLink("data:audio/wav;base64,AAAA")).toBe("audio");
  expect(kindOfLink("data:text/html,<script>")).toBe("download");
  expect(kindOfLink(`${HERE}/v1/files/0123/download/page.html`)).toBe("download");
  expect(kindOfLink(`${HERE}/v1/files/0123`, "song.mp3, 3.1 MB")).toBe("audio");
  expect(kindOfLink("https://elsewhere.example/cat.png")).toBe("elsewhere");
  expect(kindOfType("video/mp4; codecs=x")).toBe("video");
  expect(kindOfType("application/pdf")).toBe("download");
});

test("names", () => {
  expect(nameOfLink(HERE + FILE)).toBe("cat.png");
  expect(nameOfLink(`${HERE}/v1/files/0/download/a%20b%C3%A9.txt`)).toBe("a bé.txt");
  expect(nameOfLink("data:image/svg+xml;base64,AA")).toBe("file.svg");
  expect(nameOfLink("data:text/plain;name=a%20b.txt,x")).toBe("a b.txt");
  expect(nameOfLink(`${HERE}/%zz`)).toBe("%zz");
});

test("the bytes of data: URLs", async () => {
  expect(await dataBytes("data:text/plain;base64,aGk=")?.text()).toBe("hi");
  expect(await dataBytes("data:,a%20b")?.text()).toBe("a b");
  expect(dataBytes("data:text/plain;base64,%%%")).toBe(null);
});
