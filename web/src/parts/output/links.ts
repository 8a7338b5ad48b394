/** Which texts in an output are links to files, and how each can be shown. */

export type Shown = "image" | "audio" | "video" | "download" | "elsewhere";

const ENDINGS: Record<string, "image" | "audio" | "video"> = {
  png: "image", jpg: "image", jpeg: "image", gif: "image", webp: "image", avif: "image", svg: "image", bmp: "image", ico: "image",
  mp3: "audio", wav: "audio", ogg: "audio", oga: "audio", flac: "audio", m4a: "audio", aac: "audio", opus: "audio",
  mp4: "video", webm: "video", mov: "video", m4v: "video", ogv: "video", mkv: "video",
};
const OTHERS = new Set(
  "pdf html htm txt md json jsonl csv tsv xml yaml yml zip tar gz tgz bz2 xz 7z npy npz pt pth safetensors bin parquet arrow glb gltf obj ply stl srt vtt".split(" "),
);
/** Longer texts are no links, but for data: URLs. */
const MAX_LINK = 8192;
const DATA = /^data:([\w.+-]+\/[\w.+-]+)?((?:;[^,;]*)*),/i;

/** Whether a text is a link to a file. `expected`: the schema says that it is one. */
export function isFileLink(text: string, expected = false): boolean {
  if (DATA.test(text.slice(0, 300))) return !/\s/.test(text.slice(0, 200));
  if (text.length > MAX_LINK || !/^https?:\/\/\S+$/i.test(text)) return false;
  const url = parsed(text);
  if (!url) return false;
  return expected || /\/files\/[^/]+/.test(url.pathname) || endingOf(url.pathname) in ENDINGS || OTHERS.has(endingOf(url.pathname));
}

/** How a link can be shown; `hint` is a name or media type, where the link itself says none. */
export function kindOfLink(link: string, hint = ""): Shown {
  if (localUrl(link) === null) return "elsewhere";
  const type = typeOfData(link);
  if (type) return kindOfType(type);
  const ending = endingOf(parsed(link)?.pathname ?? "");
  return ENDINGS[ending] ?? ENDINGS[endingOf(hint.split(",")[0] ?? "")] ?? kindOfType(hint);
}

/** How a media type is shown. HTML and PDF are never opened here. */
export function kindOfType(type: string): Shown {
  const kind = type.toLowerCase().split("/")[0];
  return kind === "image" || kind === "audio" || kind === "video" ? kind : "download";
}

/** The media type of a data: URL; "" if it is none. */
export function typeOfData(link: string): string {
  const found = DATA.exec(link.slice(0, 300));
  return found ? (found[1] ?? "text/plain") : "";
}

/**
 * The link as this page may fetch it; null if it can't. A gateway has several names: a link to a
 * file under another one is the same file here.
 */
export function localUrl(link: string, origin = location.origin): string | null {
  if (DATA.test(link.slice(0, 300))) return link;
  const url = parsed(link);
  if (!url || !/^https?:$/.test(url.protocol)) return null;
  if (url.origin === origin || /\/files\/[^/]+/.test(url.pathname)) {
    // The URL of an upload says what the file is; its bytes are beside that.
    const path = url.pathname.replace(/(\/files\/[^/]+)\/?$/, "$1/download");
    return path + url.search;
  }
  return null;
}

/** The name of a link's file. */
export function nameOfLink(link: string): string {
  const type = typeOfData(link);
  if (type) {
    const given = /[;]name=([^;,]+)/i.exec(link.slice(0, 300))?.[1];
    return given ? decoded(given) : `file.${(type.split("/")[1] ?? "bin").replace(/\+.*/, "")}`;
  }
  const path = parsed(link)?.pathname ?? "";
  const name = decoded(path.split("/").findLast((each) => each !== "") ?? "");
  return name || "file";
}

/** The bytes of a data: URL; null if they can't be read. */
export function dataBytes(link: string): Blob | null {
  const head = DATA.exec(link.slice(0, 300));
  if (!head) return null;
  const body = link.slice(head[0].length);
  const type = head[1] ?? "text/plain";
  try {
    if (!/;base64/i.test(head[2] ?? "")) return new Blob([decodeURIComponent(body)], { type });
    const text = atob(decodeURIComponent(body));
    return new Blob([Uint8Array.from(text, (each) => each.charCodeAt(0))], { type });
  } catch {
    return null;
  }
}

function endingOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.includes(".") ? name.slice(name.lastIndexOf(".") + 1).toLowerCase() : "";
}

function parsed(link: string): URL | null {
  try {
    return new URL(link.trim());
  } catch {
    return null;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
