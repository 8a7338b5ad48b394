/** The address bar is the state: which page, and each page's filters, are in the URL. */

import { computed, signal } from "@preact/signals";
import { UI } from "../api/base";

const here = signal(new URL(location.href));

window.addEventListener("popstate", () => {
  here.value = new URL(location.href);
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.("a");
  if (!link || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || !to.pathname.startsWith(UI)) return;
  event.preventDefault();
  if (to.hash && to.pathname === location.pathname && to.search === location.search) {
    history.pushState(null, "", to);
    document.querySelector<HTMLElement>(to.hash)?.scrollIntoView();
    return;
  }
  go(to);
});

/** The path below /ui/, without slashes at its ends: "predictions/abc". */
export const path = computed(() => here.value.pathname.slice(UI.length).replace(/\/+$/, ""));

/** The query of the URL. */
export const query = computed(() => here.value.searchParams);

/** One parameter of the query; "" without it. */
export function param(name: string): string {
  return query.value.get(name) ?? "";
}

/** The URL of a page, with the namespace that is chosen now. */
export function href(page: string, words: Record<string, string | null> = {}): string {
  const found = new URLSearchParams();
  const namespace = param("ns");
  if (namespace) found.set("ns", namespace);
  for (const [name, value] of Object.entries(words)) {
    if (value) found.set(name, value);
    else found.delete(name);
  }
  const search = found.size > 0 ? `?${found}` : "";
  return `${UI}${page}${search}`;
}

/** Open a page of the UI. */
export function go(to: URL | string, how: { replace?: boolean } = {}): void {
  const url = new URL(to, location.href);
  if (how.replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  const samePage = url.pathname === here.value.pathname;
  here.value = url;
  if (!samePage) {
    scrollTo(0, 0);
    // Who listens to the page instead of seeing it is told that there is another one.
    queueMicrotask(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
  }
}

/** Change parameters of the query; null takes one away. Typing replaces, a choice can be undone. */
export function setQuery(
  words: Record<string, string | null>,
  how: { replace?: boolean } = { replace: true },
): void {
  const url = new URL(here.value);
  for (const [name, value] of Object.entries(words)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url, how);
}
