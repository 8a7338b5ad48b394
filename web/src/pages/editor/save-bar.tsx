/** Saving: what was asked, what came of it, and what somebody else saved meanwhile. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem } from "../../api/client";
import { go, href, param, setQuery } from "../../app/router";
import { Dialog } from "../../parts/dialog";
import { ErrorNotice } from "../../parts/notices";
import { type Draft, entrypointProblem, forget, nameProblem, sizeProblem } from "./draft";
import { create, pipelineOf, push } from "./saving";
import type { Work } from "./work";

/** What was saved just now, to be told by the page that opens after it. */
let carried = { page: "", words: "" };

/** The state of saving, and how to begin it. */
export function useSaving({ isNew, page, draft, before, base }: Work, again?: () => void) {
  const busy = useSignal(false);
  const tried = useSignal(false);
  const error = useSignal<Error | null>(null);
  const done = useSignal("");
  useEffect(() => {
    if (carried.page === page) done.value = carried.words;
    carried = { page: "", words: "" };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- once, when the page opens
  }, []);
  /** The version that somebody else saved, and whether to run after overwriting it. */
  const other = useSignal<{ version: string; run: boolean } | null>(null);

  const saveNew = async (run: boolean) => {
    const created = await create(draft.peek());
    forget(sessionStorage, page);
    before.value = draft.peek();
    const name = `${created.namespace}/${created.name}`;
    carried = { page: name, words: "Created. From here on, each save makes a new version." };
    const place = `models/${name}`;
    // A problem is shown by the page that is opened.
    go(href(run ? place : `${place}/edit`, { ns: created.namespace, side: null, version: null }));
  };
  const saveVersion = async (run: boolean, over: boolean) => {
    const sent = draft.peek();
    const latest = (await pipelineOf(sent.namespace, sent.name)).latest_version?.id ?? "";
    if (latest !== base.peek() && !over) {
      other.value = { version: latest, run };
      return;
    }
    const version = await push(sent, before.peek());
    done.value = 
      version === latest
        ? `Saved. The source is as it was: it is still version ${version.slice(0, 12)}.`
        : `Saved as version ${version.slice(0, 12)}. Runs that were created before keep theirs.`;
    before.value = sent;
    base.value = version;
    if (!run && param("version")) {
      // Not the older version again, when the page is loaded again.
      carried = { page, words: done.peek() };
      setQuery({ version: null });
    }
    if (run) go(href(`models/${page}`, { side: null, version: null }));
  };
  const save = async (run: boolean, over = false) => {
    if (busy.peek()) return;
    tried.value = true;
    done.value = "";
    error.value = problemOf(draft.peek(), isNew);
    if (error.value) {
      // After the field is shown as wrong.
      setTimeout(() => document.querySelector<HTMLElement>('main [aria-invalid="true"]')?.focus());
      return;
    }
    busy.value = true;
    try {
      await (isNew ? saveNew(run) : saveVersion(run, over));
    } catch (problem) {
      error.value = problem as Error;
    } finally {
      busy.value = false;
    }
  };
  const theirs = () => {
    other.value = null;
    forget(sessionStorage, page);
    setQuery({ version: null });
    before.value = draft.peek();
    again?.();
  };
  return { busy, tried, error, done, other, save, theirs };
}

function problemOf(draft: Draft, isNew: boolean): Error | null {
  const words =
    (isNew && nameProblem(draft.name) && `Name: ${nameProblem(draft.name)}`) ||
    (entrypointProblem(draft.entrypoint, draft.files) &&
      `Entrypoint: ${entrypointProblem(draft.entrypoint, draft.files)}`) ||
    sizeProblem(draft.files);
  return words ? new Problem(0, "Not saved yet", words) : null;
}

export function Saving({
  saving,
  readOnly,
  dirty,
  isNew,
  page,
}: {
  saving: ReturnType<typeof useSaving>;
  readOnly: boolean;
  dirty: boolean;
  isNew: boolean;
  page: string;
}) {
  const { busy, error, done, other, save, theirs } = saving;
  const asSaved = !isNew && !dirty;
  const off = readOnly || busy.value || asSaved;
  return (
    <>
      <div class="actions">
        <button type="button" class="button" disabled={off} onClick={() => void save(false)}>
          {busy.value ? "Saving…" : "Save"}
        </button>
        {asSaved ? (
          <a class="button button-main" href={href(`models/${page}`, { side: null, version: null })}>Run</a>
        ) : (
          <button type="button" class="button button-main" disabled={off} onClick={() => void save(true)}>
            Save and run
          </button>
        )}
      </div>
      <div class="editor-told" aria-live="polite">
        {done.value && !dirty && <p class="notice">{done.value}</p>}
        {error.value && <ErrorNotice error={error.value} />}
      </div>
      {other.value && (
        <Dialog title="Somebody else saved meanwhile" close={() => (other.value = null)}>
          <p>
            The latest version is now <code>{other.value.version.slice(0, 12) || "none"}</code>, and not the
            one that you began from. If you save, yours becomes the latest; theirs stays in the list of
            versions.
          </p>
          <div class="actions">
            <button
              type="button"
              class="button button-main"
              onClick={() => {
                const run = other.peek()?.run ?? false;
                other.value = null;
                void save(run, true);
              }}
            >
              Save mine as the latest
            </button>
            <button type="button" class="button button-bad" onClick={theirs}>
              Discard mine, open theirs
            </button>
            <button type="button" class="button button-quiet" onClick={() => (other.value = null)}>
              Go on writing
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
