/** A file of an output or an input: shown as what it is, or offered to keep. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { bytes } from "../text";
import { dataBytes, kindOfLink, kindOfType, localUrl, nameOfLink, type Shown, typeOfData } from "./links";

/** A link, whatever it leads to. */
export function FileLink({ link }: { link: string }) {
  const name = nameOfLink(link);
  const kind = useSignal(kindOfLink(link));
  const size = useSignal<number | null>(null);
  useEffect(() => {
    kind.value = kindOfLink(link);
    const mine = new AbortController();
    void factsOf(link, mine.signal).then((facts) => {
      if (!facts || mine.signal.aborted) return;
      size.value = facts.size;
      // A name without an ending says nothing: the type that the gateway tells does.
      if (kind.value === "download") kind.value = kindOfType(facts.type);
    });
    return () => mine.abort();
  }, [link, kind, size]);
  if (kind.value === "elsewhere") {
    return (
      <p>
        <a href={link} rel="noopener noreferrer" target="_blank">{link}</a>{" "}
        <span class="quiet small">(elsewhere: this page shows only files that Mayfly keeps)</span>
      </p>
    );
  }
  return (
    <figure class="output-file">
      {kind.value !== "download" && <Media kind={kind.value} link={link} name={name} />}
      <figcaption>
        <span class="cut" title={name}>{name}</span>
        {size.value !== null && <span class="quiet small number">{bytes(size.value)}</span>}
        <Download link={link} name={name} />
      </figcaption>
    </figure>
  );
}

/** The size and type of a link's file; null if they can't be known. */
async function factsOf(link: string, signal: AbortSignal): Promise<{ size: number | null; type: string } | null> {
  if (typeOfData(link)) return { size: dataBytes(link)?.size ?? null, type: typeOfData(link) };
  const url = localUrl(link);
  if (url === null) return null;
  try {
    const answer = await fetch(url, { method: "HEAD", signal });
    if (!answer.ok) return null;
    const length = answer.headers.get("content-length");
    return { size: length === null ? null : Number(length), type: answer.headers.get("content-type") ?? "" };
  } catch {
    return null;
  }
}

function Download({ link, name }: { link: string; name: string }) {
  const url = useLocal(link, true);
  if (!url) return null;
  return <a class="button button-quiet" href={url} download={name}>Download</a>;
}

/**
 * A URL that the page may load. The content security policy lets sounds and videos be blobs but not
 * data: URLs; images may be both, but a blob is lighter.
 */
function useLocal(link: string, blob: boolean): string | null {
  const made = useSignal<string | null>(null);
  const asBlob = blob && typeOfData(link) !== "";
  useEffect(() => {
    if (!asBlob) return;
    const content = dataBytes(link);
    made.value = content && URL.createObjectURL(content);
    return () => {
      if (made.value) URL.revokeObjectURL(made.value);
    };
  }, [link, asBlob, made]);
  return asBlob ? made.value : localUrl(link);
}

/** An image, a sound or a video; an image is never more than an image, so SVG runs no script. */
export function Media({ kind, link, name, small = false }: { kind: Shown; link: string; name: string; small?: boolean }) {
  const wrong = useSignal("");
  const url = useLocal(link, kind !== "image");
  useEffect(() => {
    wrong.value = "";
  }, [link, wrong]);
  if (wrong.value) return <p class="notice small" role="status">{wrong.value}</p>;
  if (!url) return null;
  const failed = () => {
    void whyNot(url, kind).then((words) => {
      wrong.value = words;
    });
  };
  const style = small ? "output-media output-media-small" : "output-media";
  if (kind === "image") return <img class={style} src={url} alt={name} loading="lazy" onError={failed} />;
  // oxlint-disable-next-line jsx-a11y/media-has-caption -- nobody has made captions for it
  if (kind === "audio") return <audio class="output-sound" src={url} controls preload="metadata" aria-label={name} onError={failed} />;
  // oxlint-disable-next-line jsx-a11y/media-has-caption -- nobody has made captions for it
  if (kind === "video") return <video class={style} src={url} controls preload="metadata" aria-label={name} onError={failed} />;
  return null;
}

const NOUN = { image: "image", audio: "sound", video: "video" } as Record<Shown, string>;

/** Why a file could not be shown, in words. */
async function whyNot(url: string, kind: Shown): Promise<string> {
  const noun = NOUN[kind] ?? "file";
  if (url.startsWith("data:") || url.startsWith("blob:")) return `This ${noun} can't be shown: it is damaged, or of a kind that the browser doesn't know.`;
  try {
    const { status } = await fetch(url, { method: "HEAD" });
    if (status === 404) return `This ${noun} is no longer kept.`;
    if (status === 401 || status === 403) return `The link to this ${noun} is no longer valid: load the page again.`;
    if (status >= 400) return `This ${noun} could not be loaded: Mayfly answered ${status}.`;
  } catch {
    return `This ${noun} could not be loaded: Mayfly can't be reached.`;
  }
  return `The browser can't show this ${noun}. It can be downloaded.`;
}
