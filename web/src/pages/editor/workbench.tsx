/** The editor with everything around it: settings, files, errors, what the form will be, saving. */

import { useLoad } from "../../app/load";
import { href } from "../../app/router";
import { rightsIn } from "../../app/session";
import { NoRight } from "../../parts/no-right";
import { type Checked, useCheck, type Wrong } from "./checking";
import { Code } from "./code";
import { FileTabs } from "./files";
import { runtimes } from "./runtimes";
import { Saving, useSaving } from "./save-bar";
import { Settings } from "./settings";
import { Side } from "./side";
import { type Given, useWork, type Work } from "./work";

const QUIET: readonly Wrong[] = [];

/** @param problem why the pipeline can't run as it is saved */
export function Workbench({ problem = null, ...given }: Given & { problem?: string | null }) {
  const work = useWork(given);
  const { isNew, page } = work;
  const draft = work.draft.value;
  const dirty = work.dirty.value;
  const readOnly = !rightsIn(draft.namespace).publish;
  const checked = useCheck(draft.files, draft.entrypoint, draft.namespace);
  const known = useLoad(runtimes, []).state.value;
  const saving = useSaving(work, given.again);
  return (
    <>
      <header class="head">
        <h1>{isNew ? "New pipeline" : <>Edit <a href={href(`models/${page}`)}>{page}</a></>}</h1>
        {!isNew && dirty && <span class="badge">not saved</span>}
        <Saving saving={saving} readOnly={readOnly} dirty={dirty} isNew={isNew} page={page} />
      </header>
      {readOnly && <NoRight right="publish" namespace={draft.namespace} />}
      <Notices work={work} problem={problem} older={given.older != null} />
      <Settings
        draft={draft}
        set={work.set}
        readOnly={readOnly}
        isNew={isNew}
        tried={saving.tried.value}
        runtimes={known}
      />
      <div class="editor-columns">
        <Source work={work} checked={checked.value} readOnly={readOnly} save={() => void saving.save(false)} />
        <Side
          isNew={isNew}
          checked={checked.value}
          runtimes={known}
          hardware={draft.hardware}
          readOnly={readOnly}
          begin={work.begin}
        />
      </div>
    </>
  );
}

function Notices({ work, problem, older }: { work: Work; problem: string | null; older: boolean }) {
  return (
    <>
      {problem && (
        <div class="notice notice-warn">
          <strong>It can't run as it is saved.</strong>
          <p>{problem}</p>
        </div>
      )}
      {older && work.dirty.value && (
        <p class="notice">These are the files of an older version. Saving makes them the latest again.</p>
      )}
      {work.restored.value && (
        <div class="notice row">
          <span>Your unsaved work in this tab is here again.</span>
          <button type="button" class="button" onClick={work.discard}>Discard it</button>
        </div>
      )}
    </>
  );
}

function Source({
  work,
  checked,
  readOnly,
  save,
}: {
  work: Work;
  checked: Checked;
  readOnly: boolean;
  save: () => void;
}) {
  const { files } = work.draft.value;
  const open = work.open.value;
  const wrong = checked.errors.length > 0 ? checked.errors : QUIET;
  return (
    <section class="editor-main" aria-label="Source">
      <FileTabs
        files={files}
        open={open}
        readOnly={readOnly}
        wrong={new Set(wrong.map((each) => each.file ?? ""))}
        choose={(name) => {
          work.open.value = name;
        }}
        add={work.add}
        rename={work.rename}
        remove={work.remove}
      />
      <Code
        name={open}
        text={files[open] ?? ""}
        wrong={wrong}
        readOnly={readOnly}
        handle={work.handle}
        changed={work.write}
        save={save}
      />
      <p class="editor-hint small quiet">
        <kbd>Tab</kbd> indents; <kbd>Esc</kbd> then <kbd>Tab</kbd> leaves the editor. <kbd>Ctrl+F</kbd> finds,{" "}
        <kbd>Ctrl+S</kbd> saves.
      </p>
      <Verdict checked={checked} show={(each) => work.goTo(each.file, each.line ?? 1)} />
    </section>
  );
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
