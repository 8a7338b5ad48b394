/** The rows as a table, or on a narrow screen as cards. */

import type { ReadonlySignal, Signal } from "@preact/signals";
import { useComputed } from "@preact/signals";
import type { Summary } from "../../api/types";
import { href } from "../../app/router";
import { namespace } from "../../app/session";
import { Status } from "../../parts/status";
import { length, money } from "../../parts/text";
import { Ago, Length } from "../../parts/time";
import type { RunRows } from "./rows";

type Ticked = Signal<ReadonlySet<string>>;

export function RunTable({ rows, ticked }: { rows: RunRows; ticked: Ticked }) {
  return (
    <div class="table-scroll runs-box">
      <table class="table runs-table" aria-label="Runs, newest first. j and k go down and up, x ticks.">
        <thead>
          <tr>
            <th scope="col"><TickAll rows={rows} ticked={ticked} /></th>
            <th scope="col">Status</th>
            <th scope="col">Run</th>
            <th scope="col">Pipeline</th>
            <th scope="col">By</th>
            <th scope="col">Created</th>
            <th scope="col" class="right">Time</th>
            <th scope="col" class="right">Cost</th>
          </tr>
        </thead>
        <Body rows={rows} ticked={ticked} />
      </table>
    </div>
  );
}

function Body({ rows, ticked }: { rows: RunRows; ticked: Ticked }) {
  return (
    <tbody onKeyDown={(event) => moved(event, ticked)}>
      {rows.order.value.map((id) => (
        <Row key={id} id={id} run={rows.row(id)} ticked={ticked} />
      ))}
    </tbody>
  );
}

function Row({ id, run, ticked }: { id: string; run: ReadonlySignal<Summary>; ticked: Ticked }) {
  const isTicked = useComputed(() => ticked.value.has(id));
  const now = run.value;
  return (
    <tr data-id={id} class={isTicked.value ? "runs-row-ticked" : undefined}>
      <td class="runs-tick">
        <label>
          <input
            type="checkbox"
            aria-label={`Tick ${now.name}`}
            checked={isTicked.value}
            onChange={() => toggle(ticked, id)}
          />
        </label>
      </td>
      <td class="runs-status"><Status state={now.status} /></td>
      <td class="runs-name">
        <a href={href(`predictions/${id}`)}>{now.name}</a>
        {now.parent !== null && <span class="badge" title="Another run started it">level {now.depth}</span>}
        <Inputs run={now} />
        {now.error && <div class="runs-error cut" title={now.error}>{now.error}</div>}
      </td>
      <td class="runs-model"><Model run={now} /></td>
      <td class="runs-by cut" title={now.created_by ?? undefined}>{now.created_by ? short(now.created_by) : "–"}</td>
      <td class="runs-when number"><Ago at={now.created_at} /></td>
      <td class="runs-time right"><Time run={now} /></td>
      <td class="runs-cost right number">{now.cost === null ? "–" : money(now.cost, now.currency)}</td>
    </tr>
  );
}

function Inputs({ run }: { run: Summary }) {
  if (run.data_removed) return <div class="runs-inputs cut quiet">Its data were removed.</div>;
  if (run.inputs.length === 0) return null;
  return (
    <div class="runs-inputs cut" title={run.inputs.map((each) => each.join(" ")).join("\n")}>
      {run.inputs.map(([field, text]) => (
        <span key={field}>
          <span class="quiet">{field}</span> {text}
        </span>
      ))}
    </div>
  );
}

function Model({ run }: { run: Summary }) {
  const shown = namespace.value === "*" ? run.model : run.model.replace(`${run.namespace}/`, "");
  if (!run.model.includes("/")) return <span class="quiet">{run.model}</span>;
  return <a href={href(`models/${run.model}`)} title={run.model}>{shown}</a>;
}

function Time({ run }: { run: Summary }) {
  if (run.started_at === null) return <span class="quiet">{run.completed_at === null ? "waits" : "–"}</span>;
  if (run.active_seconds !== null && run.completed_at !== null) {
    return <span class="number">{length(run.active_seconds)}</span>;
  }
  return <Length from={run.started_at} to={run.completed_at} />;
}

/** A ServiceAccount's name without the words that all of them begin with. */
function short(name: string): string {
  return name.replace(/^system:serviceaccount:/, "");
}

function TickAll({ rows, ticked }: { rows: RunRows; ticked: Ticked }) {
  const every = rows.order.value;
  const all = every.length > 0 && ticked.value.size === every.length;
  return (
    <input
      type="checkbox"
      aria-label="Tick all runs that are shown"
      checked={all}
      indeterminate={ticked.value.size > 0 && !all}
      onChange={() => {
        ticked.value = all ? new Set() : new Set(every);
      }}
    />
  );
}

function toggle(ticked: Ticked, id: string): void {
  const now = new Set(ticked.peek());
  if (!now.delete(id)) now.add(id);
  ticked.value = now;
}

function moved(event: KeyboardEvent, ticked: Ticked): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const row = (event.target as Element).closest("tr");
  if (!row) return;
  if (event.key === "x") toggle(ticked, row.dataset.id ?? "");
  else {
    const steps: Record<string, Element | null> = {
      j: row.nextElementSibling,
      ArrowDown: row.nextElementSibling,
      k: row.previousElementSibling,
      ArrowUp: row.previousElementSibling,
    };
    const to = steps[event.key];
    if (!to) return;
    to.querySelector<HTMLElement>(".runs-name a")?.focus();
  }
  event.preventDefault();
}
