/** Writing a pipeline: a new one, or a new version of one that is there. */

import { useEffect } from "preact/hooks";
import { useLoad } from "../../app/load";
import { href, param } from "../../app/router";
import { namespace, rightsIn } from "../../app/session";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { type Draft, type Files, MAIN } from "./draft";
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
  const version = param("version");
  const { state, again } = useLoad(
    (signal) => opened(owner, name, version, signal),
    [owner, name, version],
  );
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
  return (
    <Workbench
      key={`${base} ${value.asked}`}
      isNew={false}
      start={value.draft}
      older={value.older}
      base={base}
      problem={value.pipeline.problem}
      again={again}
    />
  );
}

interface Opened {
  /** The version that the URL names; "" for the latest. */
  asked: string;
  pipeline: Pipeline;
  draft: Draft;
  /** The files of that version, if it is not the latest. */
  older: Files | null;
}

async function opened(owner: string, name: string, asked: string, signal: AbortSignal): Promise<Opened> {
  const pipeline = await pipelineOf(owner, name, signal);
  const latest = pipeline.latest_version?.id;
  const hasSource = pipeline.kind === "pipeline";
  const files = latest && hasSource ? await filesOf(owner, name, latest, signal) : {};
  const isOlder = hasSource && asked !== "" && asked !== latest;
  const older = isOlder ? inOrder(await filesOf(owner, name, asked, signal)) : null;
  const draft: Draft = {
    namespace: pipeline.namespace,
    name: pipeline.name,
    description: pipeline.description,
    visibility: pipeline.visibility,
    hardware: pipeline.hardware ?? "",
    entrypoint: pipeline.entrypoint ?? "",
    files: Object.keys(files).length > 0 ? inOrder(files) : { [MAIN]: "" },
  };
  return { asked, pipeline, draft, older };
}

/** main.py first, then the others by name. */
function inOrder(files: Files): Files {
  const names = Object.keys(files).toSorted();
  const sorted = [...names.filter((name) => name === MAIN), ...names.filter((name) => name !== MAIN)];
  return Object.fromEntries(sorted.map((name) => [name, files[name] ?? ""]));
}
