/** A file: uploaded by click, drop or paste, or named by a URL. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { kindOfLink, localUrl, nameOfLink } from "../output/links";
import { Media } from "../output/media";
import { bytes } from "../text";
import type { ItemOf } from "./items";
import { upload } from "./upload";

/** The file that a drop or a paste brings, if it brings one. */
function fileOf(data: DataTransfer | null): File | null {
  return data?.files[0] ?? null;
}

export function FileControl({ value, set, id, about, invalid, name, namespace, uploads }: ItemOf) {
  const chooser = useRef<HTMLInputElement>(null);
  const over = useSignal(false);
  const told = useSignal("");
  const { part, sending, error, send, stop } = useUpload(namespace, uploads, (url, words) => {
    told.value = words;
    set(url);
  });
  const text = typeof value === "string" ? value : "";
  const isData = /^\s*data:/i.test(text);
  return (
    <div
      class={over.value ? "form-file form-file-over" : "form-file"}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => {
        over.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        const file = fileOf(event.dataTransfer);
        if (file) send(file);
        else set(event.dataTransfer?.getData("text/uri-list").split("\n")[0] || text || undefined);
      }}
      onPaste={(event) => {
        const file = fileOf(event.clipboardData);
        if (!file) return;
        event.preventDefault();
        send(file);
      }}
    >
      <div class="form-file-row">
        <input
          id={id}
          aria-label={name}
          aria-describedby={about || undefined}
          aria-invalid={invalid}
          type="text"
          inputMode="url"
          autocomplete="off"
          spellcheck={false}
          placeholder="Drop or paste a file here, or write its URL"
          readOnly={isData}
          value={isData && text.length > 200 ? `${text.slice(0, 60)}…` : text}
          onInput={(event) => {
            told.value = "";
            set(event.currentTarget.value.trim() === "" ? undefined : event.currentTarget.value);
          }}
        />
        <button type="button" class="button" disabled={sending} onClick={() => chooser.current?.click()}>
          Upload
        </button>
        {text !== "" && (
          <button type="button" class="button button-quiet" onClick={() => { told.value = ""; set(undefined); }}>
            Clear
          </button>
        )}
      </div>
      <input
        ref={chooser}
        type="file"
        hidden
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) send(file);
          event.currentTarget.value = "";
        }}
      />
      {sending && (
        <div class="row">
          <progress aria-label="Upload" max={1} value={part} />
          <span class="small number">{Math.round(part * 100)} %</span>
          <button type="button" class="button button-quiet" onClick={stop}>Stop</button>
        </div>
      )}
      {error && <p class="field-error" role="alert">{error}</p>}
      {told.value && <p class="field-help">{told.value}</p>}
      {!sending && text !== "" && <Preview link={text} words={told.value} />}
    </div>
  );
}

/** An image or a sound, as far as this page may show it. */
function Preview({ link, words }: { link: string; words: string }) {
  const kind = kindOfLink(link, words);
  const url = localUrl(link);
  if (url === null || (kind !== "image" && kind !== "audio")) return null;
  return <Media kind={kind} link={link} name={nameOfLink(link)} small />;
}

function useUpload(
  namespace: string,
  uploads: ItemOf["uploads"],
  done: (url: string, words: string) => void,
) {
  const part = useSignal(0);
  const sending = useSignal(false);
  const error = useSignal("");
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const send = async (file: File) => {
    running.current?.abort();
    const mine = new AbortController();
    running.current = mine;
    part.value = 0;
    error.value = "";
    sending.value = true;
    uploads.value += 1;
    try {
      const sent = await upload(file, namespace, (now) => { part.value = now; }, mine.signal);
      done(sent.url, `${sent.name}, ${bytes(sent.size)}`);
    } catch (problem) {
      if ((problem as Error).name !== "AbortError") error.value = (problem as Error).message;
    } finally {
      uploads.value -= 1;
      if (running.current === mine) sending.value = false;
    }
  };
  return { part: part.value, sending: sending.value, error: error.value, send, stop: () => running.current?.abort() };
}
