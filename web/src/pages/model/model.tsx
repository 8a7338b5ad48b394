/** One Pipeline or Model: run it, its versions, how it is called, its runs, what it is. */

import { useEffect } from "preact/hooks";
import { ask, askText } from "../../api/client";
import { useLoad } from "../../app/load";
import { href, param } from "../../app/router";
import { me, namespace, rightsIn } from "../../app/session";
import { get, type Json, parse } from "../../parts/form/json";
import { ErrorNotice, Loading } from "../../parts/notices";
import { Tabs } from "../../parts/tabs";
import { About } from "./about";
import { Api } from "./api-tab";
import { Run } from "./run";
import { Runs } from "./runs-tab";
import { FormContext, useFormOf } from "./form-of";
import "./model.css";
import type { Model, Stats } from "./types";
import { Versions } from "./versions";

const TABS = [
  ["run", "Run"],
  ["versions", "Versions"],
  ["api", "API"],
  ["runs", "Runs"],
  ["about", "About"],
] as const;

/** What the form holds is the same under every tab. */
const KEPT = ["input", "rerun", "version"];

export interface Shown {
  model: Model;
  /** The answer as exact JSON: schemas hold numbers that must not be rounded. */
  exact: Json;
  /** Path of the API: /models/owner/name. */
  path: string;
}

export default function ModelPage({ parts }: { parts: Record<string, string> }) {
  const owner = parts.owner ?? "";
  const name = parts.name ?? "";
  const path = `/models/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
  const { state, again } = useLoad(async (signal): Promise<Shown> => {
    const text = await askText(path, namespace.value, { signal });
    return { model: JSON.parse(text) as Model, exact: parse(text), path };
  }, [path, namespace.value]);
  useEffect(() => {
    document.title = `${owner}/${name} · Mayfly`;
  }, [owner, name]);
  const shown = state.value.value;
  if (state.value.error && !shown) {
    return (
      <>
        <h1><span class="quiet">{owner}/</span>{name}</h1>
        <ErrorNotice error={state.value.error} again={again} />
        <p><a href={href("models")}>All Pipelines and Models</a></p>
      </>
    );
  }
  if (!shown) return <Loading />;
  return <Loaded shown={shown} />;
}

function Loaded({ shown }: { shown: Shown }) {
  const { model, path } = shown;
  const stats = useLoad((signal) => ask<Stats>(`${path}/stats`, namespace.value, { signal }), [path, namespace.value]);
  const form = useFormOf(shown);
  const tab = param("tab") || "run";
  return (
    <FormContext.Provider value={form}>
      <Head model={model} />
      {model.problem && (
        <div class="notice notice-warn" role="status">
          <strong>There is a problem with it</strong>
          <p>{model.problem}</p>
        </div>
      )}
      <Tabs label={`Parts of ${model.name}`} tabs={TABS} keep={KEPT} />
      {/* The form stays while another tab is looked at: what was typed is not lost. */}
      <div hidden={tab !== "run"}>
        <Run shown={shown} stats={stats.state.value.value} ended={stats.again} />
      </div>
      {tab === "versions" && <Versions shown={shown} />}
      {tab === "api" && <Api shown={shown} />}
      {tab === "runs" && <Runs model={model} loaded={stats.state.value} again={stats.again} />}
      {tab === "about" && <About shown={shown} />}
    </FormContext.Provider>
  );
}

function Head({ model }: { model: Model }) {
  return (
    <div class="stack model-head">
      <div class="head">
        <h1><span class="quiet">{model.owner}/</span>{model.name}</h1>
        <span class="badge">{model.kind === "model" ? "Model" : "Pipeline"}</span>
        <span class="badge">{model.visibility}</span>
        <div class="actions"><Edit model={model} /></div>
      </div>
      {model.description && <p class="quiet">{model.description}</p>}
    </div>
  );
}

/** The way to the editor; without the right to it, why not. */
function Edit({ model }: { model: Model }) {
  const why = whyNoEdit(model);
  if (!why) return <a class="button" href={href(`models/${model.owner}/${model.name}/edit`)}>Edit</a>;
  return (
    <>
      <span class="quiet small" id="why-no-edit">{why}</span>
      <button type="button" class="button" disabled aria-describedby="why-no-edit">Edit</button>
    </>
  );
}

function whyNoEdit(model: Model): string {
  if (model.kind === "model") return "A Model has no source here: change it with kubectl.";
  if (rightsIn(model.namespace).publish) return "";
  return `${me.value?.name ?? "You"} may not publish in ${model.namespace}.`;
}

/** The id of the latest version; null if there is none. */
export function latestOf(shown: Shown): string | null {
  const id = get(shown.exact, "latest_version", "id");
  return typeof id === "string" ? id : null;
}
