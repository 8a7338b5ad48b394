/** What became of a run: its state and output while it goes, and when it has ended. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask } from "../../api/client";
import { href } from "../../app/router";
import { Output } from "../../parts/output";
import { ended as isEnded, Status } from "../../parts/status";
import { length, money } from "../../parts/text";
import { Ago, Length } from "../../parts/time";
import { useForm } from "./form-of";
import type { Job } from "./job";
import type { Prediction } from "./types";

/** The run that was started last. `ended` is called once it has ended. */
export function JobPanel({ job, schema, ended }: { job: Job; schema: unknown; ended: () => void }) {
  const whole = job.whole.value;
  const done = whole !== null;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a phone it is below the form: what one has started is what one wants to see.
    box.current?.scrollIntoView({ block: "nearest" });
  }, []);
  useEffect(() => {
    if (done) ended();
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- once
  }, [done]);
  return (
    <div class="card panel" ref={box}>
      <div class="row panel-head">
        <span aria-live="polite"><Status state={job.status.value} /></span>
        <span class="quiet">{whole ? <Facts run={whole} /> : <Length from={job.createdAt} to={null} />}</span>
        <span class="actions panel-actions">
          {!isEnded(job.status.value) && <Cancel job={job} />}
          <a class="button button-quiet" href={href(`predictions/${job.id}`)}>Open the run</a>
        </span>
      </div>
      <Failure run={whole} />
      {job.error.value && <p class="notice notice-warn small">{job.error.value.message}</p>}
      <Result job={job} schema={schema} />
      <Tail job={job} />
    </div>
  );
}

/** An iterator's items as they come; anything else when it has ended. */
function Result({ job, schema }: { job: Job; schema: unknown }) {
  const whole = job.whole.value;
  if (whole) {
    if (whole.data_removed) return <p class="quiet">The output is no longer kept.</p>;
    // A failed run has no output, but what it gave before that is worth seeing.
    const value = whole.output ?? (job.items.value.length > 0 ? job.items.value : null);
    return value === null && whole.status !== "succeeded" ? null : <Output value={value} schema={schema} />;
  }
  return <Output value={job.items.value} live schema={schema} />;
}

function Facts({ run }: { run: Prediction }) {
  const seconds = run.metrics.predict_time ?? run.metrics.total_time;
  const cost = run.total_cost ?? run.cost;
  return (
    <span class="number">
      {seconds !== undefined && length(seconds)}
      {cost !== null && cost !== undefined && ` · ${money(cost, run.currency)}${run.final === false ? " so far" : ""}`}
    </span>
  );
}

function Failure({ run }: { run: Prediction | null }) {
  if (run?.status !== "failed") return null;
  return (
    <div class="notice notice-bad" role="alert">
      <strong>{run.reason ?? "Failed"}</strong>
      {run.error && <p class="panel-error">{run.error}</p>}
    </div>
  );
}

function Cancel({ job }: { job: Job }) {
  const asked = useSignal(false);
  const error = useSignal("");
  const cancel = async () => {
    asked.value = true;
    error.value = "";
    try {
      await ask(`/predictions/${job.id}/cancel`, job.namespace, { method: "POST" });
    } catch (problem) {
      error.value = (problem as Error).message;
      asked.value = false;
    }
  };
  return (
    <>
      {error.value && <span class="field-error" role="alert">{error.value}</span>}
      <button type="button" class="button button-bad" disabled={asked.value} onClick={cancel}>
        {asked.value ? "Canceling…" : "Cancel"}
      </button>
    </>
  );
}

function Tail({ job }: { job: Job }) {
  const text = job.log.value;
  if (!text) return null;
  return (
    <details class="panel-log" open={!job.whole.value}>
      <summary>Log</summary>
      <pre class="command">{text.replace(ANSI, "").trimEnd()}</pre>
      <a class="small" href={href(`predictions/${job.id}`)}>All of the log</a>
    </details>
  );
}

// oxlint-disable-next-line no-control-regex -- colours begin with a control character
const ANSI = /\u001b\[[0-9;]*[A-Za-z]/g;

/** What ran before in this visit. */
export function EarlierPanels({ jobs, schema }: { jobs: Job[]; schema: unknown }) {
  if (jobs.length === 0) return null;
  return (
    <div class="stack">
      <h2>Earlier, in this visit</h2>
      {jobs.map((job) => <Earlier key={job.id} job={job} schema={schema} />)}
    </div>
  );
}

function Earlier({ job, schema }: { job: Job; schema: unknown }) {
  const form = useForm();
  const opened = useSignal(false);
  const whole = job.whole.value;
  return (
    <details
      class="card panel-earlier"
      onToggle={(event) => {
        opened.value = event.currentTarget.open;
      }}
    >
      <summary>
        <span class="row">
          <Status state={job.status.value} />
          <span class="quiet small">{whole ? <Facts run={whole} /> : null} <Ago at={job.createdAt} /></span>
          <span class="cut mono small panel-input">{job.shownInput}</span>
        </span>
      </summary>
      {opened.value && (
        <>
          <Failure run={whole} />
          <Result job={job} schema={schema} />
          <div class="row">
            <button
              type="button"
              class="button"
              onClick={() => form.state.load(job.input)}
            >
              Use this input
            </button>
            <a class="button button-quiet" href={href(`predictions/${job.id}`)}>Open the run</a>
          </div>
        </>
      )}
    </details>
  );
}
