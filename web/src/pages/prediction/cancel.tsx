/** Cancel a run: what it will reach, and then what became of each run that it should reach. */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { apiUrl, ask, send } from "../../api/client";
import type { Summary } from "../../api/types";
import { useLoad } from "../../app/load";
import { Dialog } from "../../parts/dialog";
import { ErrorNotice, Loading } from "../../parts/notices";
import { ended, Status } from "../../parts/status";
import { count } from "../../parts/text";

const LOOK_MS = 1500;

interface Many {
  count: number;
  results: Summary[];
}

interface Preview {
  may: boolean;
  why_not: string | null;
  cancels: Many;
  runs_on: Many;
}

type Runs = ReadonlySignal<ReadonlyMap<string, Summary>>;

export function Cancel({ run, runs, close }: { run: { id: string; name: string }; runs: Runs; close: () => void }) {
  const asked = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal<Error | null>(null);
  const { state, again } = useLoad(
    (signal) => ask<Preview>(`/predictions/${run.id}/cancel`, "", { signal }),
    [run.id],
  );
  const preview = state.value.value;
  const start = async () => {
    busy.value = true;
    error.value = null;
    try {
      await send(apiUrl(`/predictions/${run.id}/cancel`), { method: "POST" });
      asked.value = true;
    } catch (problem) {
      error.value = problem as Error;
    }
    busy.value = false;
  };
  return (
    <Dialog title={asked.value ? `Canceling ${run.name}` : `Cancel ${run.name}?`} close={close}>
      {state.value.error && !preview && <ErrorNotice error={state.value.error} again={again} />}
      {!preview && state.value.loading && <Loading rows={2} />}
      {preview && !asked.value && <Before preview={preview} />}
      {preview && asked.value && <After id={run.id} preview={preview} runs={runs} />}
      {error.value && <ErrorNotice error={error.value} />}
      <div class="actions">
        {preview?.may && preview.cancels.count > 0 && !asked.value && (
          <button type="button" class="button button-bad" disabled={busy.value} onClick={start}>
            {busy.value ? "Canceling…" : `Cancel ${count(preview.cancels.count, "run")}`}
          </button>
        )}
        <button type="button" class="button" onClick={close}>{asked.value || !preview?.may ? "Close" : "Keep running"}</button>
      </div>
    </Dialog>
  );
}

function Before({ preview }: { preview: Preview }) {
  if (!preview.may) return <div class="notice">{preview.why_not ?? "You may not cancel this run."}</div>;
  return (
    <>
      {preview.cancels.count === 0 ? (
        <p>Nothing goes on that a cancel would reach.</p>
      ) : (
        <List title={`${count(preview.cancels.count, "run")} will be canceled`} many={preview.cancels} />
      )}
      {preview.runs_on.count > 0 && <List title={`${count(preview.runs_on.count, "run")} will run on`} many={preview.runs_on} />}
      <p class="quiet small">What was used so far is billed.</p>
    </>
  );
}

function After({ id, preview, runs }: { id: string; preview: Preview; runs: Runs }) {
  const now = useNow(id, preview, runs);
  const going = now.filter((each) => !ended(each.status));
  const survived = now.filter((each) => ended(each.status) && each.status !== "canceled").length;
  const hidden = preview.cancels.count - preview.cancels.results.length;
  return (
    <>
      <div class={going.length > 0 ? "notice notice-warn" : "notice"} role="status">
        {going.length > 0 ? (
          <>The cancel was accepted. <strong>{count(going.length, "run")} still {going.length === 1 ? "goes" : "go"} on.</strong></>
        ) : (
          <>
            <strong>Nothing of it goes on any more.</strong>
            {survived > 0 && ` ${count(survived, "run")} had ended before the cancel came.`}
          </>
        )}
      </div>
      <List title={count(preview.cancels.count, "run")} many={{ count: preview.cancels.count, results: now }} />
      {hidden > 0 && <p class="quiet small">{count(hidden, "more run")} are on the tab Tree.</p>}
      {preview.runs_on.count > 0 && <List title={`${count(preview.runs_on.count, "run")} are not canceled`} many={preview.runs_on} />}
    </>
  );
}

/** The runs as they are now: from the page's stream, and asked for in case that is cut. */
function useNow(id: string, preview: Preview, runs: Runs): Summary[] {
  const told = useSignal<ReadonlyMap<string, Summary>>(new Map());
  const newest = (each: Summary) => {
    const heard = runs.value.get(each.id) ?? each;
    return ended(heard.status) ? heard : (told.value.get(each.id) ?? heard);
  };
  const now = preview.cancels.results.map(newest);
  const going = now.some((each) => !ended(each.status));
  useEffect(() => {
    if (!going) return undefined;
    const looking = setInterval(async () => {
      try {
        const found = await ask<{ results: Summary[] }>(`/predictions/${id}/timeline`);
        told.value = new Map(found.results.map((each) => [each.id, each]));
      } catch {
        // It is asked again.
      }
    }, LOOK_MS);
    return () => clearInterval(looking);
  }, [going, id, told]);
  return now;
}

function List({ title, many }: { title: string; many: Many }) {
  const more = useMemo(() => many.count - many.results.length, [many]);
  return (
    <section class="stack" aria-label={title}>
      <h3>{title}</h3>
      <ul class="cancel-runs">
        {many.results.map((each) => (
          <li key={each.id}>
            <Status state={each.status} />
            <span class="cut" title={each.name}>{each.name}</span>
            <span class="quiet small cut">{each.model}</span>
          </li>
        ))}
      </ul>
      {more > 0 && <p class="quiet small">and {count(more, "more", "more")}</p>}
    </section>
  );
}
