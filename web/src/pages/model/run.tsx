/** The form, the button that runs it, and what it gives. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, Problem } from "../../api/client";
import { href, param, setQuery } from "../../app/router";
import { me, namespace, rightsIn } from "../../app/session";
import { Form } from "../../parts/form/form";
import { plain, write } from "../../parts/form/json";
import { withoutSecrets } from "../../parts/form/secrets";
import { type Field, differences, fieldsOf, outputOf } from "../../parts/form/schema";
import { ErrorNotice, Loading } from "../../parts/notices";
import { length, money } from "../../parts/text";
import { chosen, type FormOf, placeOf, useForm } from "./form-of";
import { Job } from "./job";
import { latestOf, type Shown } from "./model";
import { EarlierPanels, JobPanel } from "./panel";
import type { Prediction, Stats } from "./types";

const FULL_ID = /^[0-9a-f]{64}$/;

export function Run({ shown, stats, ended }: { shown: Shown; stats: Stats | undefined; ended: () => void }) {
  const form = useForm();
  const jobs = useSignal<Job[]>([]);
  const { document, fields, known } = chosen(form, shown);
  const output = outputOf(document);
  useEffect(() => () => {
    for (const each of jobs.peek()) each.close();
  }, [jobs]);
  const [latest, ...earlier] = jobs.value;
  return (
    <div class="columns run">
      <section class="card" aria-label="Input">
        <VersionChoice shown={shown} fields={fields} />
        <Example shown={shown} />
        {known || latestOf(shown) === null ? (
          <RunForm shown={shown} fields={fields} stats={stats} jobs={jobs} />
        ) : (
          <Loading rows={4} />
        )}
      </section>
      <section class="stack" aria-label="Output">
        {latest ? (
          <JobPanel key={latest.id} job={latest} schema={output === undefined ? undefined : plain(output)} ended={ended} />
        ) : (
          <div class="empty run-nothing">
            <h2>No output yet</h2>
            <p>What a run gives is shown here, as it comes.</p>
          </div>
        )}
        <EarlierPanels jobs={earlier} schema={output === undefined ? undefined : plain(output)} />
      </section>
    </div>
  );
}

function RunForm({ shown, fields, stats, jobs }: { shown: Shown; fields: Field[] | null; stats: Stats | undefined; jobs: Signal<Job[]> }) {
  const form = useForm();
  const busy = useSignal(false);
  const error = useSignal<Error | null>(null);
  const box = useRef<HTMLFormElement>(null);
  const start = async () => {
    if (busy.value || form.state.uploads.value > 0) return;
    error.value = null;
    // Unknown inputs are checked by the Model itself.
    if (!form.state.check(fields ?? [])) {
      focusWrong(box.current);
      return;
    }
    busy.value = true;
    try {
      const job = await create(form, shown);
      jobs.value[0]?.rest();
      jobs.value = [job, ...jobs.value];
      job.follow();
    } catch (problem) {
      const placed = problem instanceof Problem && form.state.refused(problem.errors);
      if (placed) focusWrong(box.current);
      else error.value = problem as Error;
    } finally {
      busy.value = false;
    }
  };
  return (
    <form
      ref={box}
      class="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        const ready = event.ctrlKey || event.metaKey;
        // Enter alone in a field would start something that costs money.
        if (ready || event.target instanceof HTMLInputElement) event.preventDefault();
        if (ready) void start();
      }}
    >
      <Form state={form.state} fields={fields} namespace={placeOf(shown.model)} />
      {error.value && <ErrorNotice error={error.value} />}
      <RunButton shown={shown} stats={stats} busy={busy.value} uploading={form.state.uploads.value > 0} />
    </form>
  );
}

function RunButton({ shown, stats, busy, uploading }: { shown: Shown; stats: Stats | undefined; busy: boolean; uploading: boolean }) {
  const form = useForm();
  const why = whyNot(shown);
  const empty = form.state.input.value.size === 0 && form.state.broken.value.size === 0;
  return (
    <div class="run-bar">
      <div class="row">
        <button type="submit" class="button button-main" disabled={busy || uploading || why !== ""} aria-describedby="run-words">
          {busy ? "Starting…" : uploading ? "Uploading…" : "Run"}
        </button>
        <button
          type="button"
          class="button button-quiet"
          disabled={empty}
          onClick={() => {
            form.state.load(new Map());
            setQuery({ input: null });
          }}
        >
          Clear
        </button>
        <span class="quiet small run-keys">or Ctrl and Enter</span>
      </div>
      <p class="quiet small" id="run-words">{why || history(stats)}</p>
    </div>
  );
}

/** Why it can't be run by who is signed in; "" if it can. */
function whyNot(shown: Shown): string {
  if (latestOf(shown) === null && shown.model.kind === "pipeline") return "It has no version yet: push one, or edit it.";
  const where = placeOf(shown.model);
  const known = me.value?.namespaces.some((each) => each.name === where);
  return known && !rightsIn(where).run ? `${me.value?.name} may not run anything in ${where}.` : "";
}

/** What the last runs took and cost. */
function history(stats: Stats | undefined): string {
  if (!stats) return "";
  if (stats.runs === 0) return "It has not run yet.";
  const currency = stats.currency ?? me.value?.currency ?? "";
  const said: string[] = [];
  if (stats.seconds) said.push(`took ${between(stats.seconds, length)}`);
  if (stats.cost) said.push(`cost ${between(stats.cost, (each) => money(each, currency))}`);
  const last = `The last ${stats.runs === 1 ? "run" : `${stats.runs} runs`}`;
  if (stats.failed > 0) said.push(stats.runs === 1 ? "failed" : `${stats.failed} failed`);
  return said.length === 0 ? "" : `${last} ${said.join(", ")}.`;
}

/** The middle, and the range if there is one: "3.2 s (1.0 s to 9.1 s)". */
function between<T>(found: { low?: T; median: T; high?: T }, words: (each: T) => string): string {
  const middle = words(found.median);
  if (found.low === undefined || found.high === undefined || words(found.low) === words(found.high)) return middle;
  const low = words(found.low);
  const unit = / [A-Za-z]+$/.exec(middle)?.[0] ?? "";
  return `${middle} (${unit && low.endsWith(unit) ? low.slice(0, -unit.length) : low} to ${words(found.high)})`;
}

/** Send it, exactly as the form has it. */
async function create(form: FormOf, shown: Shown): Promise<Job> {
  const given = form.state.input.value;
  const input = write(given);
  const { id, fields } = chosen(form, shown);
  const pinned = id !== null && FULL_ID.test(id) && shown.model.kind === "pipeline";
  const body = pinned ? `{"version": "${id}", "input": ${input}}` : `{"input": ${input}}`;
  const made = await ask<Prediction>(pinned ? "/predictions" : `${shown.path}/predictions`, namespace.value, {
    method: "POST",
    body,
    headers: { "Content-Type": "application/json" },
  });
  return new Job(made, given, write(withoutSecrets(given, fields ?? [], () => "[secret]")));
}

function focusWrong(box: HTMLElement | null): void {
  requestAnimationFrame(() => {
    const wrong = box?.querySelector<HTMLElement>('[aria-invalid="true"], .field-error');
    wrong?.focus();
    wrong?.scrollIntoView({ block: "center" });
  });
}

/** Which version would run; for a rerun, what has changed since. */
function VersionChoice({ shown, fields }: { shown: Shown; fields: Field[] | null }) {
  const form = useForm();
  const latest = latestOf(shown);
  const { id } = chosen(form, shown);
  const rerun = form.rerun.value;
  const newest = fieldsOf(latestDocument(shown));
  const changed = id !== latest && fields && newest ? differences(fields, newest) : [];
  if (form.error.value) {
    return <div class="notice notice-bad" role="alert"><p>{param("rerun") ? "The run's input could not be read. " : ""}{form.error.value.message}</p></div>;
  }
  return (
    <>
      {form.note.value && <div class="notice notice-warn" role="status"><p>{form.note.value}</p></div>}
      {rerun && (
        <div class="notice">
          <p>
            The input is that of <a href={href(`predictions/${rerun.id}`)}>run {rerun.id.slice(0, 8)}</a>.
            {rerun.secrets.length > 0 && ` Secrets are not kept: give ${rerun.secrets.join(", ")} again.`}
          </p>
        </div>
      )}
      {id !== null && id !== latest && (
        <div class="notice notice-warn">
          <p>
            This is version <code>{id.slice(0, 10)}</code>; the latest is <code>{latest?.slice(0, 10)}</code>.
            {changed.length === 0 ? " Their inputs are the same." : " In the latest:"}
          </p>
          {changed.length > 0 && <ul>{changed.map((each) => <li key={each}>{each}</li>)}</ul>}
          <button type="button" class="button" onClick={() => setQuery({ version: latest })}>Use the latest version</button>
        </div>
      )}
      {rerun && id === latest && rerun.version !== latest && !form.note.value && (
        <p>
          The latest version will run, the run's was <code>{rerun.version.slice(0, 10)}</code>.{" "}
          <button type="button" class="button button-quiet" onClick={() => setQuery({ version: null })}>Use the run's version</button>
        </p>
      )}
    </>
  );
}

function latestDocument(shown: Shown) {
  const found = shown.exact instanceof Map ? shown.exact.get("latest_version") : undefined;
  return found instanceof Map ? found.get("openapi_schema") : undefined;
}

/** The input of a run that was chosen as the example. */
function Example({ shown }: { shown: Shown }) {
  const form = useForm();
  const example = shown.exact instanceof Map ? shown.exact.get("default_example") : null;
  const input = example instanceof Map ? example.get("input") : null;
  if (!(input instanceof Map)) return null;
  return (
    <p>
      <button type="button" class="button" onClick={() => form.state.load(input)}>Use the example</button>
    </p>
  );
}
