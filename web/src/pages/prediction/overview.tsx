/** Input, output and facts of a run. */

import { apiUrl, ask, askText } from "../../api/client";
import { href } from "../../app/router";
import { useLoad } from "../../app/load";
import { Copy } from "../../parts/copy";
import { Output } from "../../parts/output";
import { because } from "../../parts/reasons";
import { ended } from "../../parts/status";
import { Moment } from "../../parts/time";
import type { Followed } from "./follow";
import { indented } from "./indented";
import type { Detail } from "./types";

export function Overview({ followed, detail }: { followed: Followed; detail: Detail }) {
  if (detail.data_removed) return <Facts detail={detail} followed={followed} />;
  return (
    <div class="run-columns">
      <div class="stack">
        <OutputCard followed={followed} detail={detail} />
        <InputCard detail={detail} />
      </div>
      <Facts detail={detail} followed={followed} />
    </div>
  );
}

function OutputCard({ followed, detail }: { followed: Followed; detail: Detail }) {
  const schema = useOutputSchema(detail);
  const items = followed.items.value;
  const over = ended(detail.status);
  const value = over || items.length === 0 ? detail.output : items;
  return (
    <section class="card" aria-label="Output">
      <div class="head">
        <h2>Output</h2>
        {over && detail.output !== null && (
          <div class="actions">
            <a class="button button-quiet" href={apiUrl(`/predictions/${detail.id}/output`)} download={`${detail.name}-output.json`}>Download</a>
          </div>
        )}
      </div>
      <Output value={value} live={!over} schema={schema} />
    </section>
  );
}

interface Version {
  openapi_schema?: { components?: { schemas?: Record<string, unknown> } };
}

function useOutputSchema(detail: Detail): unknown {
  const { state } = useLoad<Version | null>(
    async (signal) => {
      if (!detail.model.includes("/")) return null;
      try {
        return await ask<Version>(`/models/${detail.model}/versions/${detail.version}`, "", { signal });
      } catch {
        // The version may be gone; the output is shown without it.
        return null;
      }
    },
    [detail.model, detail.version],
  );
  return state.value.value?.openapi_schema?.components?.schemas?.Output;
}

/** The input as it is stored: JavaScript would change long numbers, and 1.0 to 1. */
function InputCard({ detail }: { detail: Detail }) {
  const { state } = useLoad(
    async (signal) => {
      try {
        return await askText(`/predictions/${detail.id}/input`, "", { signal });
      } catch {
        return JSON.stringify(detail.input);
      }
    },
    [detail.id],
  );
  const text = state.value.value ?? JSON.stringify(detail.input);
  return (
    <section class="card" aria-label="Input">
      <div class="head">
        <h2>Input</h2>
        <div class="actions">
          <Copy text={text} />
          <a class="button button-quiet" href={apiUrl(`/predictions/${detail.id}/input`)} download={`${detail.name}-input.json`}>Download</a>
        </div>
      </div>
      <pre class="command run-json">{indented(text)}</pre>
    </section>
  );
}

function Facts({ detail, followed }: { detail: Detail; followed: Followed }) {
  const command = `kubectl get pipelinerun ${detail.name} -n ${detail.namespace} -o yaml`;
  const run = followed.run.value;
  return (
    <section class="card run-facts" aria-label="Facts">
      <h2>Facts</h2>
      <dl class="facts">
        <dt>Id</dt>
        <dd class="mono">{detail.id}</dd>
        <dt>Namespace</dt>
        <dd>{detail.namespace}</dd>
        <dt>Created</dt>
        <dd><Moment at={detail.created_at} /></dd>
        {detail.started_at && <><dt>Started</dt><dd><Moment at={detail.started_at} /></dd></>}
        {detail.completed_at && <><dt>Ended</dt><dd><Moment at={detail.completed_at} /></dd></>}
        {detail.deadline && <><dt>Deadline</dt><dd><Moment at={detail.deadline} /></dd></>}
        {detail.reason && <><dt>Reason</dt><dd><code>{detail.reason}</code> <span class="quiet small">{because(detail.reason)}</span></dd></>}
        {run?.created_by && <><dt>By</dt><dd>{run.created_by}</dd></>}
        <dt>Version</dt>
        <dd class="mono">{detail.version}</dd>
        <dt>Level</dt>
        <dd>
          {detail.depth}
          {detail.parent !== null && <>, below <a class="mono" href={href(`predictions/${detail.parent}`)}>{detail.parent}</a></>}
        </dd>
        {detail.root !== detail.id && <><dt>First run</dt><dd><a class="mono" href={href(`predictions/${detail.root}`)}>{detail.root}</a></dd></>}
        <Tokens detail={detail} />
        {detail.webhook && <><dt>Webhook</dt><dd class="mono">{detail.webhook}</dd></>}
      </dl>
      {detail.kind === "pipeline" && (
        <div>
          <div class="head">
            <h3>With kubectl</h3>
            <div class="actions"><Copy text={command} /></div>
          </div>
          <pre class="command">{command}</pre>
        </div>
      )}
    </section>
  );
}

function Tokens({ detail }: { detail: Detail }) {
  const { input_token_count: read, output_token_count: written } = detail.metrics;
  if (!read && !written) return null;
  return (
    <>
      <dt>Tokens</dt>
      <dd>{(read ?? 0).toLocaleString("en")} in, {(written ?? 0).toLocaleString("en")} out</dd>
    </>
  );
}
