/** The work at hand: the draft, which file is open, what is not saved, and what is kept of it. */

import { type Signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { CodeHandle } from "./code";
import { type Draft, type Files, forget, keep, kept, MAIN, renamed, sameDraft, without } from "./draft";
import type { Template } from "./templates";

export interface Given {
  isNew: boolean;
  /** What is saved, or what a new pipeline begins with. */
  start: Draft;
  /** The version that is edited; "" if there is none. */
  base: string;
  /** The files of an older version, to go on from. */
  older?: Files | null;
  /** Load what is saved again. */
  again?: () => void;
}

export function useWork({ isNew, start, base, older = null, again }: Given) {
  const page = isNew ? "new" : `${start.namespace}/${start.name}`;
  const found = useMemo(() => (older ? null : kept(sessionStorage, page)), [older, page]);
  const draft = useSignal<Draft>(found?.draft ?? (older ? { ...start, files: older } : start));
  const before = useSignal<Draft>(start);
  const from = useSignal(found?.base ?? base);
  const restored = useSignal(found !== null && !sameDraft(found.draft, start));
  const open = useSignal(mainOf(draft.value.files));
  const handle = useRef<CodeHandle>({ view: null }).current;
  const dirty = useComputed(() => !sameDraft(draft.value, before.value));
  useKeeping(page, draft, from, dirty.value);

  const set = (change: Partial<Draft>) => {
    draft.value = { ...draft.peek(), ...change };
  };
  const show = (files: Files, name: string) => {
    set({ files });
    open.value = name;
  };
  return {
    isNew,
    page,
    draft,
    before,
    base: from,
    restored,
    open,
    handle,
    dirty,
    set,
    write: (name: string, text: string) => set({ files: { ...draft.peek().files, [name]: text } }),
    add: (name: string) => show({ ...draft.peek().files, [name]: "" }, name),
    rename: (name: string, to: string) => {
      handle.view?.forget(name);
      show(renamed(draft.peek().files, name, to), to);
    },
    remove: (name: string) => {
      handle.view?.forget(name);
      const left = without(draft.peek().files, name);
      show(left, mainOf(left));
    },
    begin: (template: Template) => {
      // In the open file, the author can undo it.
      if (open.peek() === MAIN && handle.view) handle.view.replace(template.source);
      else {
        handle.view?.forget(MAIN);
        show({ ...draft.peek().files, [MAIN]: template.source }, MAIN);
      }
    },
    discard: () => {
      forget(sessionStorage, page);
      if (again && from.peek() !== base) again();
      for (const name of Object.keys(draft.peek().files)) handle.view?.forget(name);
      draft.value = before.peek();
      from.value = base;
      restored.value = false;
      open.value = mainOf(before.peek().files);
      handle.view?.open(open.peek(), before.peek().files[open.peek()] ?? "");
    },
    goTo: (file: string | undefined, line: number) => {
      if (file && file in draft.peek().files) open.value = file;
      // After the editor has opened the file.
      setTimeout(() => handle.view?.goTo(line));
    },
  };
}

export type Work = ReturnType<typeof useWork>;

function mainOf(files: Files): string {
  return MAIN in files ? MAIN : (Object.keys(files)[0] ?? MAIN);
}

/** Keeps unsaved work in the tab, and asks before the tab is left with it. */
function useKeeping(page: string, draft: Signal<Draft>, base: Signal<string>, dirty: boolean): void {
  const now = draft.value;
  const from = base.value;
  useEffect(() => {
    if (dirty) keep(sessionStorage, page, { draft: now, base: from });
    else forget(sessionStorage, page);
  }, [page, now, from, dirty]);
  useEffect(() => {
    if (!dirty) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
}
