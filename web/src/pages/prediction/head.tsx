/** What the run is, how it stands, and what can be done with it. */

import { useSignal } from "@preact/signals";
import { apiUrl } from "../../api/client";
import type { Summary } from "../../api/types";
import { href } from "../../app/router";
import { Copy } from "../../parts/copy";
import { ended, Status } from "../../parts/status";
import { length, money } from "../../parts/text";
import { Ago, Length } from "../../parts/time";
import { Cancel } from "./cancel";
import type { Followed } from "./follow";
import type { Detail } from "./types";

export function Head({ followed, detail }: { followed: Followed; detail: Detail }) {
  const run = followed.run.value;
  const status = run?.status ?? detail.status;
  return (
    <header class="run-head">
      <div class="head">
        <h1>{detail.name}</h1>
        <span role="status"><Status state={status} /></span>
        {!followed.live.value && !followed.over.value && <span class="badge" role="status">Reconnecting…</span>}
        <Actions followed={followed} detail={detail} goesOn={!ended(status) || !followed.settled.value} />
      </div>
      <p class="run-what quiet">
        <Model detail={detail} />
        <span>created <Ago at={detail.created_at} /></span>
        {run?.created_by && <span>by {run.created_by.replace(/^system:serviceaccount:/, "")}</span>}
        {detail.parent !== null && (
          <span>
            below <a href={href(`predictions/${detail.parent}`)}>its parent</a>
            {detail.root !== detail.parent && <>, in the tree of <a href={href(`predictions/${detail.root}`)}>the first run</a></>}
          </span>
        )}
      </p>
      <Numbers followed={followed} detail={detail} run={run} />
    </header>
  );
}

function Model({ detail }: { detail: Detail }) {
  const version = /^[0-9a-f]{12,}$/.test(detail.version) ? `@${detail.version.slice(0, 10)}` : "";
  const words = (
    <>
      {detail.model}
      {version && <span class="mono">{version}</span>}
    </>
  );
  if (!detail.model.includes("/")) return <span title={detail.version}>{words}</span>;
  return <a href={href(`models/${detail.model}`)} title={detail.version}>{words}</a>;
}

function Numbers({ followed, detail, run }: { followed: Followed; detail: Detail; run: Summary | null }) {
  const started = run?.started_at ?? detail.started_at;
  const completed = run?.completed_at ?? detail.completed_at;
  const active = run?.active_seconds ?? detail.metrics.predict_time ?? null;
  const own = run?.cost ?? detail.cost;
  const final = detail.final === true && ended(detail.status);
  const total = final && detail.total_cost ? detail.total_cost : followed.treeCost.value;
  return (
    <dl class="run-numbers">
      <Number name="Queued">
        {started === null && completed !== null ? "–" : <Length from={detail.created_at} to={started ?? completed} />}
      </Number>
      <Number name={completed === null ? "At work" : "Active"}>
        {started === null ? "–" : completed !== null && active !== null ? length(active) : <Length from={started} to={completed} />}
      </Number>
      <Number name="Own cost">{own === null ? "not known yet" : money(own, detail.currency)}</Number>
      <Number name={final ? "Cost of the tree, final" : "Cost of the tree, so far"}>{money(total, detail.currency)}</Number>
    </dl>
  );
}

function Number({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="number">{children}</dd>
    </div>
  );
}

function Actions({ followed, detail, goesOn }: { followed: Followed; detail: Detail; goesOn: boolean }) {
  const canceling = useSignal(false);
  return (
    <div class="actions">
      {goesOn && (
        <button
          type="button"
          class="button button-bad"
          onClick={() => {
            canceling.value = true;
          }}
        >
          Cancel…
        </button>
      )}
      {detail.model.includes("/") && !detail.data_removed && (
        <a class="button" href={href(`models/${detail.model}`, { rerun: detail.id })}>Rerun…</a>
      )}
      <a class="button" href={apiUrl(`/predictions/${detail.id}/bundle`)} download={`${detail.name}.json`} title="The run in one JSON file: state, tree, source, log and bill">Download bundle</a>
      <Copy text={detail.id} label="Copy id" />
      {canceling.value && (
        <Cancel
          run={detail}
          runs={followed.runs}
          close={() => {
            canceling.value = false;
          }}
        />
      )}
    </div>
  );
}
