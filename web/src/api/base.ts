/** Where the gateway is reached: the path before /ui/, which only the gateway knows. */

const told = document.querySelector<HTMLMetaElement>('meta[name="mayfly-base"]')?.content ?? "";

/** The path below which everything is, without a slash at its end: "" or "/tools/mayfly". */
export const BASE = told.replace(/\/+$/, "");

/** The path of the UI itself, with a slash at its end. */
export const UI = `${BASE}/ui/`;
