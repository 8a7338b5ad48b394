/** What is being written: its rules, how it is kept in the tab, and what is sent. */

export type Files = Record<string, string>;

export interface Draft {
  namespace: string;
  name: string;
  description: string;
  visibility: "private" | "public";
  hardware: string;
  /** file:function; "" for what the pipeline has already. */
  entrypoint: string;
  files: Files;
}

/** Unsaved work in the tab. */
export interface Kept {
  draft: Draft;
  /** The version that it began from; "" for a new pipeline. */
  base: string;
}

export const MAIN = "main.py";
export const USUAL_ENTRYPOINT = "main.py:main";
const MOST_FILES = 64;
const MOST_CHARACTERS = 131_072;
const NAME_LENGTH = 52;

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const FILE = /^[A-Za-z0-9_][A-Za-z0-9_./-]*$/;
const ENTRYPOINT = /^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*$/;

/** What is wrong with a pipeline's name; "" if nothing. */
export function nameProblem(name: string): string {
  if (!name) return "Give it a name.";
  if (name.length > NAME_LENGTH) return `At most ${NAME_LENGTH} characters.`;
  if (NAME.test(name)) return "";
  return "Small letters, digits and “-”; a letter or digit at both ends.";
}

/** What is wrong with the name of a file; "" if nothing. */
export function fileProblem(name: string, others: readonly string[]): string {
  if (!FILE.test(name) || name.includes("..")) {
    return "Letters, digits, “_”, “-”, “.” and “/”; a letter, digit or “_” first.";
  }
  if (name.endsWith("/")) return "A file has a name after the last “/”.";
  if (others.includes(name)) return "There is such a file already.";
  if (others.length >= MOST_FILES) return `At most ${MOST_FILES} files.`;
  const clash = others.find((each) => each.startsWith(`${name}/`) || name.startsWith(`${each}/`));
  return clash ? `“${clash}” can't be a file and a folder at once.` : "";
}

/** What is wrong with an entrypoint; "" if nothing. */
export function entrypointProblem(entrypoint: string, files: Files): string {
  if (!entrypoint) return "";
  if (!ENTRYPOINT.test(entrypoint)) return "Write it as file.py:function.";
  const file = entrypoint.split(":")[0] ?? "";
  return file in files ? "" : `There is no file “${file}”.`;
}

/** What is wrong with all files together; "" if nothing. */
export function sizeProblem(files: Files): string {
  const size = Object.values(files).reduce((sum, text) => sum + text.length, 0);
  if (size <= MOST_CHARACTERS) return "";
  return `The files have ${size.toLocaleString("en")} characters; at most ${MOST_CHARACTERS.toLocaleString("en")}.`;
}

/** The files with one more, renamed or removed one; the order stays. */
export function renamed(files: Files, from: string, to: string): Files {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name === from ? to : name, text]),
  );
}

export function without(files: Files, name: string): Files {
  return Object.fromEntries(Object.entries(files).filter(([each]) => each !== name));
}

export function sameFiles(one: Files, other: Files): boolean {
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
  );
}

/** The source as the API takes it: one main.py is a `source`, so that kubectl shows it plainly. */
export function sourceOf(files: Files): { source: string } | { files: Files } {
  const names = Object.keys(files);
  const main = files[MAIN];
  return names.length === 1 && main !== undefined ? { source: main } : { files };
}

/** The body of a create. */
export function created(draft: Draft): Record<string, unknown> {
  return {
    owner: draft.namespace,
    name: draft.name,
    description: draft.description,
    visibility: draft.visibility,
    ...(draft.hardware ? { hardware: draft.hardware } : {}),
    ...(draft.entrypoint ? { entrypoint: draft.entrypoint } : {}),
    ...sourceOf(draft.files),
  };
}

/** The body of a new version: the files, and which settings the author changed. */
export function changed(draft: Draft, before: Draft): Record<string, unknown> {
  const body: Record<string, unknown> = sourceOf(draft.files);
  for (const field of ["description", "visibility", "hardware", "entrypoint"] as const) {
    if (draft[field] !== before[field]) body[field] = draft[field];
  }
  return body;
}

export function sameDraft(one: Draft, other: Draft): boolean {
  return (
    JSON.stringify({ ...one, files: null }) === JSON.stringify({ ...other, files: null }) &&
    sameFiles(one.files, other.files)
  );
}

function keyOf(page: string): string {
  return `mayfly-draft:${page}`;
}

/** Keep unsaved work until the tab is closed. What does not fit is not kept. */
export function keep(store: Storage, page: string, work: Kept): void {
  try {
    store.setItem(keyOf(page), JSON.stringify(work));
  } catch {
    store.removeItem(keyOf(page));
  }
}

export function forget(store: Storage, page: string): void {
  store.removeItem(keyOf(page));
}

/** Unsaved work of this page; null if there is none that can be read. */
export function kept(store: Storage, page: string): Kept | null {
  try {
    const found = JSON.parse(store.getItem(keyOf(page)) ?? "null") as Kept | null;
    return found && typeof found.draft.files === "object" ? found : null;
  } catch {
    return null;
  }
}
