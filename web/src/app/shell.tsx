/** What is around every page: where one can go, which namespace is shown, who is signed in. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { ErrorNotice, Loading, Wings } from "../parts/notices";
import { go, href, path, setQuery } from "./router";
import { type PageOf, routeOf } from "./routes";
import { me, namespace, refresh, trouble } from "./session";
import { SignIn } from "./sign-in";

const RELOADED = "mayfly-reloaded";
const RELOAD_MS = 20_000;

const PLACES = [
  ["runs", "Runs"],
  ["models", "Pipelines"],
  ["usage", "Usage"],
  ["pools", "Pools"],
] as const;

const UNDER: Record<string, string> = { "": "runs", predictions: "runs", new: "models" };

export function App() {
  useEffect(() => {
    void refresh();
  }, []);
  if (me.value === undefined) {
    if (trouble.value) return <Alone><ErrorNotice error={new Error(trouble.value)} again={refresh} /></Alone>;
    return <Alone><Loading rows={3} /></Alone>;
  }
  if (me.value === null || path.value === "sign-in") return <SignIn />;
  return (
    <>
      <a class="skip" href="#page">Skip to the page</a>
      <Top />
      <main id="page" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function Alone({ children }: { children: ComponentChildren }) {
  return <main class="alone">{children}</main>;
}

function Top() {
  const first = path.value.split("/")[0] ?? "";
  const under = UNDER[first] ?? first;
  return (
    <header class="top">
      <a class="brand" href={href("runs")} aria-label="Mayfly: runs">
        <Wings size={28} />
        <span>Mayfly</span>
      </a>
      <nav aria-label="Pages">
        {PLACES.map(([page, words]) => (
          <a key={page} href={href(page)} aria-current={under === page ? "page" : undefined}>
            {words}
          </a>
        ))}
      </nav>
      <div class="top-end">
        <NamespaceChoice />
        <a class="button button-main" href={href("new")}>New pipeline</a>
        <a class="who" href={href("me")} aria-current={first === "me" ? "page" : undefined} title={me.value?.name}>
          <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true" class="line">
            <circle cx="8" cy="5.5" r="2.8" />
            <path d="M2.5 14c.6-3 2.8-4.5 5.5-4.5s4.9 1.5 5.5 4.5" />
          </svg>
          <span class="for-readers">Me: {me.value?.name}</span>
        </a>
      </div>
    </header>
  );
}

function NamespaceChoice() {
  const known = me.value?.namespaces ?? [];
  const chosen = namespace.value;
  const readable = known.filter((each) => each.rights.read);
  const names = readable.map((each) => each.name);
  if (chosen !== "*" && chosen !== "" && !names.includes(chosen)) names.push(chosen);
  return (
    <label class="namespace">
      <span class="for-readers">Namespace</span>
      <select
        value={chosen}
        onChange={(event) => setQuery({ ns: event.currentTarget.value }, { replace: false })}
      >
        {me.value?.all_namespaces && <option value="*">All namespaces</option>}
        {names.map((name) => (
          <option key={name} value={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function Page() {
  const found = routeOf(path.value);
  const page = useSignal<{ pattern: string; Shown: PageOf } | null>(null);
  const error = useSignal<Error | null>(null);
  const pattern = found?.route.pattern;
  useEffect(() => {
    if (!found) return;
    let wanted = true;
    error.value = null;
    found.route.load().then(
      (loaded) => {
        if (wanted) page.value = { pattern: found.route.pattern, Shown: loaded.default };
      },
      () => {
        if (wanted && !reloaded()) error.value = new Error("This page could not be loaded. Mayfly may have been upgraded: load the page again.");
      },
    );
    return () => {
      wanted = false;
    };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- the pattern says which route it is
  }, [pattern]);
  if (!found) return <Nowhere />;
  if (error.value) return <ErrorNotice error={error.value} again={() => location.reload()} />;
  if (page.value?.pattern !== pattern || !page.value) return <Loading />;
  const { Shown } = page.value;
  return <Shown key={path.value} parts={found.parts} />;
}

/**
 * Load the whole page again, once: after an upgrade its files have other names, and a file that did
 * not come once never comes again in the same page. All that one sees is in the URL.
 */
function reloaded(): boolean {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - last < RELOAD_MS) return false;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
  return true;
}

function Nowhere() {
  return (
    <div class="empty">
      <Wings />
      <h1>There is no such page</h1>
      <p>
        <a href={href("runs")} onClick={() => go(href("runs"))}>To the runs</a>
      </p>
    </div>
  );
}
