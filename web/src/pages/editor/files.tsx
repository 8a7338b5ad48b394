/** The files of a source, as tabs above the editor: open, add, rename, remove. */

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Files, fileProblem } from "./draft";

export function FileTabs({
  files,
  open,
  readOnly,
  wrong,
  choose,
  add,
  rename,
  remove,
}: {
  files: Files;
  open: string;
  readOnly: boolean;
  /** Names of the files in which something is wrong. */
  wrong: ReadonlySet<string>;
  choose: (name: string) => void;
  add: (name: string) => void;
  rename: (from: string, to: string) => void;
  remove: (name: string) => void;
}) {
  const asking = useSignal<"" | "add" | "rename" | "remove">("");
  const names = Object.keys(files);
  const close = () => {
    asking.value = "";
  };
  return (
    <div class="files">
      <div class="files-row">
        <nav class="files-names" aria-label="Files">
          {names.map((name) => (
            <button
              key={name}
              type="button"
              class="file-tab mono"
              aria-current={name === open ? "true" : undefined}
              onClick={() => choose(name)}
            >
              {name}
              {wrong.has(name) && <span class="file-wrong" role="img" aria-label="has errors" />}
            </button>
          ))}
        </nav>
        {!readOnly && (
          <div class="files-actions">
            <Small label="Add a file" press={() => (asking.value = "add")}>+ File</Small>
            <Small label={`Rename ${open}`} press={() => (asking.value = "rename")}>Rename</Small>
            {names.length > 1 && (
              <Small label={`Remove ${open}`} press={() => (asking.value = "remove")}>Remove</Small>
            )}
          </div>
        )}
      </div>
      {asking.value === "add" && (
        <NameForm
          label="Name of the new file"
          action="Add"
          initial=""
          others={names}
          done={(name) => {
            add(name);
            close();
          }}
          close={close}
        />
      )}
      {asking.value === "rename" && (
        <NameForm
          label={`New name of ${open}`}
          action="Rename"
          initial={open}
          others={names.filter((each) => each !== open)}
          done={(name) => {
            if (name !== open) rename(open, name);
            close();
          }}
          close={close}
        />
      )}
      {asking.value === "remove" && (
        <div class="files-ask row">
          <span>
            Remove <code>{open}</code> with what is in it?
          </span>
          <button
            type="button"
            class="button button-bad"
            onClick={() => {
              remove(open);
              close();
            }}
          >
            Remove
          </button>
          <button type="button" class="button button-quiet" onClick={close}>Keep it</button>
        </div>
      )}
    </div>
  );
}

function Small({ label, press, children }: { label: string; press: () => void; children: string }) {
  return (
    <button type="button" class="button button-quiet small" aria-label={label} onClick={press}>
      {children}
    </button>
  );
}

function NameForm({
  label,
  action,
  initial,
  others,
  done,
  close,
}: {
  label: string;
  action: string;
  initial: string;
  others: string[];
  done: (name: string) => void;
  close: () => void;
}) {
  const name = useSignal(initial);
  const tried = useSignal(false);
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => box.current?.select(), []);
  const problem = fileProblem(name.value, others);
  const shown = tried.value ? problem : "";
  return (
    <form
      class="files-ask row"
      onSubmit={(event) => {
        event.preventDefault();
        tried.value = true;
        if (!problem) done(name.value);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") close();
      }}
    >
      <label class="files-name">
        <span class="for-readers">{label}</span>
        <input
          ref={box}
          class="mono"
          placeholder="helpers.py"
          spellcheck={false}
          autocapitalize="none"
          value={name.value}
          aria-invalid={shown !== ""}
          aria-describedby={shown ? "file-problem" : undefined}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit" class="button">{action}</button>
      <button type="button" class="button button-quiet" onClick={close}>Cancel</button>
      {shown && <span id="file-problem" class="field-error">{shown}</span>}
    </form>
  );
}
