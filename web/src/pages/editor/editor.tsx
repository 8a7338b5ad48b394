/** Writing a pipeline: a new one, or a new version of one that is there. */

import { useEffect } from "preact/hooks";
import { useLoad } from "../../app/load";
import { href } from "../../app/router";
import { namespace, rightsIn } from "../../app/session";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { type Draft, MAIN } from "./draft";
import { filesOf, type Pipeline, pipelineOf } from "./saving";
import { publishable } from "./settings";
import { TEMPLATES } from "./templates";
import { Workbench } from "./workbench";
import "./editor.css";

export default function Editor({ parts }: { parts: Record<string, string> }) {
  const { owner, name } = parts;
  return owner && name ? <Edit owner={owner} name={name} /> : <New />;
}

function New() {
  useEffect(() => {
    document.title = "New pipeline · Mayfly";
  }, []);
  const places = publishable();
  const here = namespace.value;
  const place = rightsIn(here).publish ? here : (places[0] ?? (here === "*" ? "" : here));
  const start: Draft = {
    namespace: place,
    name: "",
    description: "",
    visibility: "private",
    hardware: "",
    entrypoint: "",
    files: { [MAIN]: TEMPLATES[0]?.source ?? "" },
  };
  return <Workbench isNew start={start} base="" />;
}

function Edit({ owner, name }: { owner: string; name: string }) {
  const { state, again } = useLoad((signal) => opened(owner, name, signal), [owner, name]);
  useEffect(() => {
    document.title = `Edit ${owner}/${name} · Mayfly`;
  }, [owner, name]);
  const { value, error } = state.value;
  if (error) return <ErrorNotice error={error} again={again} />;
  if (!value) return <Loading />;
  if (value.pipeline.kind === "model") {
    return (
      <Empty title={`${owner}/${name} is a model`}>
        <p>It is a server of its own: its code is not here.</p>
        <a class="button" href={href(`models/${owner}/${name}`)}>To the model</a>
      </Empty>
    );
  }
  const base = value.pipeline.latest_version?.id ?? "";
  return <Workbench key={base} isNew={false} start={value.draft} base={base} problem={value.pipeline.problem} again={again} />;
}

async function opened(
  owner: string,
  name: string,
  signal: AbortSignal,
): Promise<{ pipeline: Pipeline; draft: Draft }> {
  const pipeline = await pipelineOf(owner, name, signal);
  const version = pipeline.latest_version?.id;
  const files = version && pipeline.kind === "pipeline" ? await filesOf(owner, name, version, signal) : {};
  const draft: Draft = {
    namespace: pipeline.namespace,
    name: pipeline.name,
    description: pipeline.description,
    visibility: pipeline.visibility,
    hardware: pipeline.hardware ?? "",
    entrypoint: pipeline.entrypoint ?? "",
    files: Object.keys(files).length > 0 ? inOrder(files) : { [MAIN]: "" },
  };
  return { pipeline, draft };
}

/** main.py first, then the others by name. */
function inOrder(files: Record<string, string>): Record<string, string> {
  const names = Object.keys(files).toSorted();
  const sorted = [...names.filter((name) => name === MAIN), ...names.filter((name) => name !== MAIN)];
  return Object.fromEntries(sorted.map((name) => [name, files[name] ?? ""]));
}
