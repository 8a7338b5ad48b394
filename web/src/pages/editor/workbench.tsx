/** The editor with everything around it: settings, files, errors, what the form will be, saving. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useLoad } from "../../app/load";
import { href } from "../../app/router";
import { rightsIn } from "../../app/session";
import { NoRight } from "../../parts/no-right";
import { type Checked, useCheck, type Wrong } from "./checking";
import { Code, type CodeHandle } from "./code";
import { type Draft, forget, keep, kept, MAIN, renamed, sameDraft, without } from "./draft";
import { FileTabs } from "./files";
import { runtimes } from "./runtimes";
import { Saving, useSaving } from "./save-bar";
import { Settings } from "./settings";
import { Side } from "./side";
import type { Template } from "./templates";

const QUIET: readonly Wrong[] = [];

export function Workbench({
  isNew,
  start,
  base,
  problem = null,
  again,
}: {
  isNew: boolean;
  start: Draft;
  /** The version that is edited; "" if there is none. */
  base: string;
  /** Why the pipeline can't run as it is. */
  problem?: string | null;
  again?: () => void;
}) {
  const page = isNew ? "new" : `${start.namespace}/${start.name}`;
  const found = useMemo(() => kept(sessionStorage, page), [page]);
  const draft = useSignal<Draft>(found?.draft ?? start);
  const before = useSignal<Draft>(start);
  const from = useSignal(found?.base ?? base);
  const restored = useSignal(found !== null && !sameDraft(found.draft, start));
  const open = useSignal(mainOf(draft.value));
  const handle = useRef<CodeHandle>({ view: null }).current;
  const mayPublish = rightsIn(draft.value.namespace).publish;
  const readOnly = !mayPublish;
  const checked = useCheck(draft.value.files, draft.value.entrypoint, draft.value.namespace);
  const known = useLoad(runtimes, []);
  const dirty = useComputed(() => !sameDraft(draft.value, before.value));
  useKeeping(page, draft.value, from.value, dirty.value);
  const saving = useSaving({ isNew, page, draft, before, base: from, again });

  const set = (change: Partial<Draft>) => {
    draft.value = { ...draft.peek(), ...change };
  };
  const setFiles = (files: Draft["files"], shown: string) => {
    set({ files });
    open.value = shown;
  };
  const begin = (template: Template) => {
    if (open.peek() === MAIN && handle.view) handle.view.replace(template.source);
    else {
      handle.view?.forget(MAIN);
      setFiles({ ...draft.peek().files, [MAIN]: template.source }, MAIN);
    }
  };
  const discard = () => {
    forget(sessionStorage, page);
    if (again && from.peek() !== base) again();
    for (const name of Object.keys(draft.peek().files)) handle.view?.forget(name);
    draft.value = before.peek();
    from.value = base;
    restored.value = false;
    open.value = mainOf(before.peek());
    handle.view?.open(open.peek(), before.peek().files[open.peek()] ?? "");
  };
  const { files } = draft.value;
  const wrong = checked.value.errors.length > 0 ? checked.value.errors : QUIET;
  return (
    <>
      <header class="head">
        <h1>{isNew ? "New pipeline" : <>Edit <a href={href(`models/${page}`)}>{page}</a></>}</h1>
        {!isNew && dirty.value && <span class="badge">not saved</span>}
        <Saving saving={saving} readOnly={readOnly} dirty={dirty.value} isNew={isNew} page={page} />
      </header>
      {readOnly && <NoRight right="publish" namespace={draft.value.namespace} />}
      {problem && (
        <div class="notice notice-warn">
          <strong>It can't run as it is.</strong> <p>{problem}</p>
        </div>
      )}
      {restored.value && (
        <div class="notice row">
          <span>Your unsaved work in this tab is here again.</span>
          <button type="button" class="button" onClick={discard}>Discard it</button>
        </div>
      )}
      <Settings
        draft={draft.value}
        set={set}
        readOnly={readOnly}
        isNew={isNew}
        tried={saving.tried.value}
        runtimes={known.state.value}
      />
      <div class="editor-columns">
        <section class="editor-main" aria-label="Source">
          <FileTabs
            files={files}
            open={open.value}
            readOnly={readOnly}
            wrong={new Set(wrong.map((each) => each.file ?? ""))}
            choose={(name) => (open.value = name)}
            add={(name) => setFiles({ ...draft.peek().files, [name]: "" }, name)}
            rename={(name, to) => {
              handle.view?.forget(name);
              setFiles(renamed(draft.peek().files, name, to), to);
            }}
            remove={(name) => {
              handle.view?.forget(name);
              const left = without(draft.peek().files, name);
              setFiles(left, Object.keys(left)[0] ?? MAIN);
            }}
          />
          <Code
            name={open.value}
            text={files[open.value] ?? ""}
            wrong={wrong}
            readOnly={readOnly}
            handle={handle}
            changed={(name, text) => set({ files: { ...draft.peek().files, [name]: text } })}
            save={() => void saving.save(false)}
          />
          <p class="editor-hint small quiet">
            <kbd>Tab</kbd> indents; <kbd>Esc</kbd> then <kbd>Tab</kbd> leaves the editor. <kbd>Ctrl+F</kbd>{" "}
            finds, <kbd>Ctrl+S</kbd> saves.
          </p>
          <Verdict
            checked={checked.value}
            show={(each) => {
              if (each.file && each.file in files) open.value = each.file;
              // After the editor has opened the file.
              setTimeout(() => handle.view?.goTo(each.line ?? 1));
            }}
          />
        </section>
        <Side
          isNew={isNew}
          checked={checked.value}
          runtimes={known.state.value}
          hardware={draft.value.hardware}
          readOnly={readOnly}
          begin={begin}
        />
      </div>
    </>
  );
}

function mainOf(draft: Draft): string {
  return MAIN in draft.files ? MAIN : (Object.keys(draft.files)[0] ?? MAIN);
}

/** Keeps unsaved work in the tab, and asks before the tab is left with it. */
function useKeeping(page: string, draft: Draft, base: string, dirty: boolean): void {
  useEffect(() => {
    if (dirty) keep(sessionStorage, page, { draft, base });
    else forget(sessionStorage, page);
  }, [page, draft, base, dirty]);
  useEffect(() => {
    if (!dirty) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
}

const VERDICTS: Record<Checked["state"], string> = {
  checking: "Checking…",
  valid: "This source can run.",
  wrong: "This source can't run yet:",
  unknown: "This source could not be checked:",
};

function Verdict({ checked, show }: { checked: Checked; show: (wrong: Wrong) => void }) {
  return (
    <div class={`verdict verdict-${checked.state}`} role="status">
      <strong>{VERDICTS[checked.state]}</strong>
      {checked.state === "unknown" && <p>{checked.why}</p>}
      {checked.errors.length > 0 && (
        <ul>
          {checked.errors.map((each, index) => (
            <li key={index}>
              {each.file && (
                <button type="button" class="verdict-place mono" onClick={() => show(each)}>
                  {each.file}
                  {each.line ? `:${each.line}` : ""}
                </button>
              )}{" "}
              {each.detail}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
