/** The versions, and what differs between the files of two of them. */

import { useLoad } from "../../app/load";
import { apiUrl, ask, send } from "../../api/client";
import type { Page } from "../../api/types";
import { href, param, path as here, setQuery } from "../../app/router";
import { namespace } from "../../app/session";
import { ErrorNotice, Empty, Loading } from "../../parts/notices";
import { Ago } from "../../parts/time";
import { diff, hunks, type Line } from "./diff";
import { latestOf, type Shown } from "./model";
import { untar } from "./tar";
import type { Version } from "./types";

export function Versions({ shown }: { shown: Shown }) {
  const { state, again } = useLoad(
    (signal) => ask<Page<Version>>(`${shown.path}/versions`, namespace.value, { signal }),
    [shown.path, namespace.value],
  );
  const found = state.value.value?.results;
  if (state.value.error) return <ErrorNotice error={state.value.error} again={again} />;
  if (!found) return <Loading />;
  if (found.length === 0) return <Empty title="No versions yet"><p>A push makes the first one.</p></Empty>;
  const isPipeline = shown.model.kind === "pipeline";
  const ids = found.map((each) => each.id);
  const after = ids.find((each) => each === param("after")) ?? ids[0] ?? "";
  const before = ids.find((each) => each === param("before")) ?? ids[ids.indexOf(after) + 1] ?? "";
  const compares = isPipeline && found.length > 1;
  return (
    <div class="stack">
      <List shown={shown} versions={found} compares={compares} before={before} after={after} />
      {!isPipeline && <p class="quiet">A Model's source is not kept here, so versions can't be compared.</p>}
      {isPipeline && found.length === 1 && <p class="quiet">With a second version, the two can be compared here.</p>}
      {compares && before && <Difference shown={shown} before={before} after={after} />}
      {compares && !before && <p class="quiet">Choose an older version to compare with.</p>}
    </div>
  );
}

function List({ shown, versions, compares, before, after }: { shown: Shown; versions: Version[]; compares: boolean; before: string; after: string }) {
  const latest = latestOf(shown);
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            {compares && <><th scope="col">Old</th><th scope="col">New</th></>}
            <th scope="col">Version</th>
            <th scope="col">Made</th>
            <th scope="col"><span class="for-readers">Run it</span></th>
          </tr>
        </thead>
        <tbody>
          {versions.map(({ id, created_at }) => (
            <tr key={id}>
              {compares && (
                <>
                  <td><Pick name="before" id={id} chosen={before} words={`Compare from ${id.slice(0, 10)}`} /></td>
                  <td><Pick name="after" id={id} chosen={after} words={`Compare to ${id.slice(0, 10)}`} /></td>
                </>
              )}
              <td>
                <code title={id}>{id.slice(0, 10)}</code> {id === latest && <span class="badge">latest</span>}
              </td>
              <td class="number"><Ago at={created_at} /></td>
              <td class="right">
                <a href={href(here.value, { input: param("input"), version: id })}>Run</a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Pick({ name, id, chosen, words }: { name: string; id: string; chosen: string; words: string }) {
  return (
    <input type="radio" name={name} aria-label={words} checked={chosen === id} onChange={() => setQuery({ [name]: id })} />
  );
}

function Difference({ shown, before, after }: { shown: Shown; before: string; after: string }) {
  const { state, again } = useLoad(
    async (signal) => {
      const [old, current] = await Promise.all([before, after].map((id) => filesOf(shown, id, signal)));
      return compared(old ?? new Map(), current ?? new Map());
    },
    [shown.path, before, after],
  );
  const { value, error, loading } = state.value;
  if (error) return <ErrorNotice error={error} again={again} />;
  if (!value) return <Loading rows={4} />;
  return (
    <section class="stack" aria-busy={loading}>
      <h2>From <code>{before.slice(0, 10)}</code> to <code>{after.slice(0, 10)}</code></h2>
      {value.length === 0 && <p class="quiet">Their files are the same.</p>}
      {value.map((file) => <FileDifference key={file.name} {...file} />)}
    </section>
  );
}

async function filesOf(shown: Shown, id: string, signal: AbortSignal): Promise<Map<string, string>> {
  const url = apiUrl(`${shown.path}/versions/${id}/source`, namespace.value);
  return untar(await (await send(url, { signal, headers: { Accept: "application/x-tar" } })).arrayBuffer());
}

interface Changed {
  name: string;
  what: string;
  lines: Line[];
}

function compared(old: Map<string, string>, current: Map<string, string>): Changed[] {
  const names = [...new Set([...current.keys(), ...old.keys()])].toSorted();
  return names
    .filter((name) => old.get(name) !== current.get(name))
    .map((name) => ({
      name,
      what: !old.has(name) ? "new" : !current.has(name) ? "gone" : "changed",
      lines: diff(old.get(name) ?? "", current.get(name) ?? ""),
    }));
}

const MARK = { same: " ", old: "−", new: "+" } as const;
const SAID = { same: "", old: "taken away: ", new: "added: " } as const;

function FileDifference({ name, what, lines }: Changed) {
  const added = lines.filter((each) => each.kind === "new").length;
  const gone = lines.filter((each) => each.kind === "old").length;
  return (
    <div class="diff">
      <p class="diff-head">
        <code>{name}</code> <span class="badge">{what}</span>
        <span class="number small"><span class="diff-plus">+{added}</span> <span class="diff-minus">−{gone}</span></span>
      </p>
      <div class="diff-scroll">
        <table>
          <tbody>
            {hunks(lines).map((line, index) =>
              line === null ? (
                <tr key={index} class="diff-gap"><td colSpan={4}>…</td></tr>
              ) : (
                <tr key={index} class={`diff-${line.kind}`}>
                  <td class="diff-number">{line.before}</td>
                  <td class="diff-number">{line.after}</td>
                  <td aria-hidden="true">{MARK[line.kind]}</td>
                  <td class="diff-text"><span class="for-readers">{SAID[line.kind]}</span>{line.text}</td>
                </tr>
              ),
            )}
          </tbody>
        </table>
      </div>
    </div>
  );
}
