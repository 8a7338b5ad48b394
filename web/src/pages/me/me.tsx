/** Who I am here, and what I may do where: by my token and the cluster's RBAC. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Me as Who, Rights } from "../../api/types";
import { chooseTheme, type Theme, theme } from "../../app/theme";
import { go, href } from "../../app/router";
import { me, refresh, signOut } from "../../app/session";
import { Copy } from "../../parts/copy";
import { ErrorNotice } from "../../parts/notices";
import { grantOf } from "../../parts/grant";
import { Scroll } from "../../parts/scroll";
import { zone } from "../../parts/text";
import { Moment } from "../../parts/time";
import "./me.css";

const KINDS: Record<Who["kind"], string> = {
  user: "a user of the cluster",
  service_account: "a ServiceAccount",
  run: "a run",
};

const SIGNED_IN: Record<Who["signed_in"], string> = {
  token: "by a token that each request carries",
  cookie: "in this browser",
  proxy: "by the proxy before Mayfly",
};

const RIGHTS: readonly (readonly [keyof Rights, string, string])[] = [
  ["read", "See runs", "list pipelineruns"],
  ["run", "Start runs", "create pipelineruns"],
  ["cancel", "Cancel", "patch pipelineruns"],
  ["publish", "Write pipelines", "create pipelines"],
  ["models", "Add models", "create models"],
  ["correct", "Correct bills", "update pipelineruns/status"],
];

export default function MePage() {
  useEffect(() => {
    document.title = "Me · Mayfly";
    void refresh();
  }, []);
  const who = me.value;
  if (!who) return null;
  return (
    <>
      <header class="head">
        <h1>{who.name}</h1>
        <SignOut who={who} />
      </header>
      {who.warnings.map((words) => (
        <p key={words} class="notice notice-warn">{words}</p>
      ))}
      <div class="columns">
        <section class="card" aria-labelledby="who">
          <h2 id="who">Who I am</h2>
          <WhoFacts who={who} />
        </section>
        <section class="card" aria-labelledby="how">
          <h2 id="how">How it looks</h2>
          <ThemeChoice />
          <dl class="facts">
            <dt>Time zone</dt>
            <dd>{zone()}, as the browser says; bills count days in UTC</dd>
            <dt>Currency</dt>
            <dd>{who.currency}</dd>
            <dt>Mayfly</dt>
            <dd>version {who.version}</dd>
          </dl>
        </section>
      </div>
      <section class="stack" aria-labelledby="may">
        <h2 id="may">What I may do</h2>
        {who.all_namespaces && <p class="quiet">I may see the runs of all namespaces.</p>}
        {who.namespaces.length > 0 ? <RightsTable who={who} /> : <p>In no namespace that Mayfly knows.</p>}
      </section>
      {who.kind !== "run" && <Missing who={who} />}
    </>
  );
}

function WhoFacts({ who }: { who: Who }) {
  return (
    <dl class="facts">
      <dt>Name</dt>
      <dd class="mono">{who.name}</dd>
      <dt>That is</dt>
      <dd>
        {KINDS[who.kind]}
        {who.namespace && ` of the namespace ${who.namespace}`}
      </dd>
      <dt>Signed in</dt>
      <dd>{SIGNED_IN[who.signed_in]}</dd>
      <dt>Until</dt>
      <dd>{who.expires_at ? <Moment at={who.expires_at} /> : "the token doesn't say"}</dd>
      <dt>Groups</dt>
      <dd>
        {who.groups.length === 0
          ? "none"
          : who.groups.map((group) => <div key={group} class="mono">{group}</div>)}
      </dd>
    </dl>
  );
}

function SignOut({ who }: { who: Who }) {
  const error = useSignal<Error | null>(null);
  if (who.signed_in === "proxy") return null;
  const leave = async () => {
    try {
      await signOut();
      go(href("sign-in"));
    } catch (problem) {
      error.value = problem as Error;
    }
  };
  return (
    <div class="actions">
      {error.value && <ErrorNotice error={error.value} />}
      <button type="button" class="button" onClick={leave}>Sign out</button>
    </div>
  );
}

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

function ThemeChoice() {
  return (
    <fieldset class="themes">
      <legend>Theme</legend>
      {THEMES.map(([key, words]) => (
        <label key={key}>
          <input
            type="radio"
            name="theme"
            value={key}
            checked={theme.value === key}
            onChange={() => chooseTheme(key)}
          />
          {words}
        </label>
      ))}
    </fieldset>
  );
}

function RightsTable({ who }: { who: Who }) {
  return (
    <Scroll label="What I may do where">
      <table class="table rights">
        <thead>
          <tr>
            <th scope="col">Namespace</th>
            {RIGHTS.map(([key, words, rule]) => (
              <th key={key} scope="col" title={`RBAC: ${rule}`}>{words}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {who.namespaces.map(({ name, rights }) => (
            <tr key={name}>
              <th scope="row">
                <a href={href("runs", { ns: name })}>{name}</a>
              </th>
              {RIGHTS.map(([key]) => (
                <td key={key}>{rights[key] ? <Yes /> : <span class="quiet">no</span>}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Yes() {
  return (
    <span class="status status-succeeded">
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <path d="M3.2 8.6l3.1 3.1 6.5-7" />
      </svg>
      yes
    </span>
  );
}

function Missing({ who }: { who: Who }) {
  const wanted = useSignal(who.namespace ?? who.namespaces[0]?.name ?? "");
  const role = useSignal<"view" | "edit">("edit");
  const command = grantOf(who.name, wanted.value.trim(), role.value);
  return (
    <section class="card" aria-labelledby="missing">
      <h2 id="missing">A right is missing?</h2>
      <p>Whoever administers the namespace gives it with this command; it works at the next request.</p>
      <div class="missing">
        <label class="field">
          <span>Namespace</span>
          <input
            value={wanted.value}
            spellcheck={false}
            autocapitalize="none"
            placeholder="NAMESPACE"
            onInput={(event) => {
              wanted.value = event.currentTarget.value;
            }}
          />
        </label>
        <label class="field">
          <span>To</span>
          <select
            value={role.value}
            onChange={(event) => {
              role.value = event.currentTarget.value === "view" ? "view" : "edit";
            }}
          >
            <option value="view">see runs and usage</option>
            <option value="edit">see, run, cancel, write, add models</option>
          </select>
        </label>
      </div>
      <pre class="command">{command}</pre>
      <Copy text={command} label="Copy the command" />
      <p class="small quiet">
        <code>view</code> and <code>edit</code> are Kubernetes' own roles, to which Mayfly adds its kinds. Bills are
        corrected by cluster administrators alone, unless they bind a role for it.
      </p>
    </section>
  );
}
