/** The editor as a part of the page; CodeMirror is loaded when it is first shown. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ErrorNotice, Loading } from "../../parts/notices";
import type { Wrong } from "./checking";
import type { CodeView } from "./codemirror";

/** What the page can do to the editor, once it is there. */
export interface CodeHandle {
  view: CodeView | null;
}

export function Code({
  name,
  text,
  wrong,
  readOnly,
  handle,
  changed,
  save,
}: {
  name: string;
  text: string;
  wrong: readonly Wrong[];
  readOnly: boolean;
  handle: CodeHandle;
  changed: (name: string, text: string) => void;
  save: () => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const ready = useSignal(false);
  const error = useSignal<Error | null>(null);
  const told = useRef({ changed, save });
  told.current = { changed, save };
  useEffect(() => {
    let wanted = true;
    import("./codemirror").then(
      ({ CodeView: View }) => {
        if (!wanted || !host.current) return;
        handle.view = new View(host.current, {
          changed: (file, now) => told.current.changed(file, now),
          save: () => told.current.save(),
        });
        ready.value = true;
      },
      () => {
        error.value = new Error("The editor could not be loaded. Load the page again.");
      },
    );
    return () => {
      wanted = false;
      handle.view?.close();
      handle.view = null;
    };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- once
  }, []);
  useEffect(() => {
    if (ready.value) handle.view?.open(name, text);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- the text comes from the editor itself
  }, [name, ready.value]);
  useEffect(() => {
    handle.view?.mark(wrong);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- the handle is always the same
  }, [wrong, ready.value]);
  useEffect(() => {
    handle.view?.fix(readOnly);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- the handle is always the same
  }, [readOnly, ready.value]);
  return (
    <>
      {error.value && <ErrorNotice error={error.value} />}
      {!ready.value && !error.value && <Loading rows={8} />}
      <div ref={host} class="code" hidden={!ready.value} />
    </>
  );
}
