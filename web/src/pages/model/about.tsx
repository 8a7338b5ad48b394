/** What a Pipeline or Model says of itself, and where it runs for which price. */

import { ask, askText } from "../../api/client";
import { useLoad } from "../../app/load";
import { namespace } from "../../app/session";
import { ErrorNotice, Loading } from "../../parts/notices";
import { count } from "../../parts/text";
import { Moment } from "../../parts/time";
import type { Shown } from "./model";
import type { Model } from "./types";

interface Runtime {
  name: string;
  python: string | null;
  cpu: string | null;
  memory: string | null;
  prices: { meter: string; price: string; currency?: string }[];
}

export function About({ shown }: { shown: Shown }) {
  const { model } = shown;
  const readme = useLoad((signal) => askText(`${shown.path}/readme`, namespace.value, { signal }), [shown.path]);
  return (
    <div class="columns about">
      <section class="card" aria-label="Readme">
        {readme.state.value.error && <ErrorNotice error={readme.state.value.error} again={readme.again} />}
        {readme.state.value.value === undefined && !readme.state.value.error && <Loading rows={4} />}
        {readme.state.value.value !== undefined && <Readme text={readme.state.value.value} />}
      </section>
      <section class="card" aria-label="Facts">
        <dl class="facts">
          <dt>Kind</dt><dd>{model.kind === "model" ? "Model" : "Pipeline"}</dd>
          <dt>Namespace</dt><dd>{model.namespace}</dd>
          <dt>Visibility</dt>
          <dd>{model.visibility === "public" ? "public: other namespaces may call it" : "private: only its namespace may call it"}</dd>
          {model.alias && <><dt>Alias</dt><dd><code>{model.alias}</code></dd></>}
          <dt>Made</dt><dd><Moment at={model.created_at} /></dd>
          <dt>Runs</dt><dd>{count(model.run_count, "run")}</dd>
          {model.kind === "pipeline" ? <Runs model={model} /> : model.hardware && <><dt>Hardware</dt><dd>{model.hardware}</dd></>}
        </dl>
      </section>
    </div>
  );
}

/** What each meter counts. */
const PER: Record<string, string> = { predictSeconds: "per second", prediction: "per run" };

/** The runtime of a pipeline, with what it costs. */
function Runs({ model }: { model: Model }) {
  const { state } = useLoad((signal) => ask<Runtime[] | { results: Runtime[] }>("/runtimes", namespace.value, { signal }), []);
  const found = state.value.value;
  const all = Array.isArray(found) ? found : (found?.results ?? []);
  const runtime = all.find((each) => each.name === (model.hardware ?? "default"));
  return (
    <>
      <dt>Runtime</dt>
      <dd>{model.hardware ?? "default"}{runtime?.python ? `, Python ${runtime.python}` : ""}</dd>
      {runtime?.cpu && <><dt>Hardware</dt><dd>{runtime.cpu} CPU, {runtime.memory}</dd></>}
      {runtime && runtime.prices.length > 0 && (
        <>
          <dt>Price</dt>
          <dd>
            {runtime.prices.map((each) => (
              <div key={each.meter}>{each.price} {each.currency} <span class="quiet">{PER[each.meter] ?? `per ${each.meter}`}</span></div>
            ))}
          </dd>
        </>
      )}
    </>
  );
}

/** Markdown's headings, code and paragraphs: all that a readme here needs to be read. */
function Readme({ text }: { text: string }) {
  return (
    <div class="readme">
      {blocksOf(text).map((block, index) => {
        if (block.kind === "heading") return <h2 key={index}>{block.text}</h2>;
        if (block.kind === "code") return <pre key={index} class="command">{block.text}</pre>;
        return <p key={index}>{block.text}</p>;
      })}
    </div>
  );
}

interface Block {
  kind: "heading" | "code" | "text";
  text: string;
}

/** A text's blocks; inside a block it stays as it was written. */
export function blocksOf(text: string): Block[] {
  const found: Block[] = [];
  let lines: string[] = [];
  let fence = "";
  const close = (kind: Block["kind"]) => {
    const joined = lines.join("\n");
    if (joined.trim() !== "" || kind === "code") found.push({ kind, text: joined });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = /^(```+|~~~+)/.exec(line)?.[1] ?? "";
    if (fence) {
      if (mark.startsWith(fence)) {
        close("code");
        fence = "";
      } else lines.push(line);
    } else if (mark) {
      close("text");
      fence = mark;
    } else if (/^#{1,6} /.test(line)) {
      close("text");
      found.push({ kind: "heading", text: line.replace(/^#+ /, "") });
    } else if (line.trim() === "") close("text");
    else lines.push(line);
  }
  close(fence ? "code" : "text");
  return found;
}
