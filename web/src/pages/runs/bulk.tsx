/** Cancel several runs: what will happen first, then what became of each. */

import { type Signal, signal, useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { send, apiUrl } from "../../api/client";
import type { Summary } from "../../api/types";
import { Dialog } from "../../parts/dialog";
import { ended, Status } from "../../parts/status";
import { count } from "../../parts/text";
import type { RunRows } from "./rows";

const AT_ONCE = 4;

interface Item {
  run: Summary;
  /** What became of the request; "" before. */
  told: Signal<string>;
  bad: Signal<boolean>;
}

export function Bulk({ runs, rows, close }: { runs: Summary[]; rows: RunRows; close: (asked: boolean) => void }) {
  const asked = useSignal(false);
  const items = useMemo<Item[]>(() => runs.map((run) => ({ run, told: signal(""), bad: signal(false) })), [runs]);
  const over = items.filter((each) => ended(each.run.status));
  const toCancel = items.filter((each) => !ended(each.run.status));
  const start = () => {
    asked.value = true;
    for (const each of over) each.told.value = "Had ended already: skipped.";
    void cancelAll(toCancel);
  };
  return (
    <Dialog title={asked.value ? `Canceling ${count(toCancel.length, "run")}` : `Cancel ${count(toCancel.length, "run")}?`} close={() => close(asked.value)}>
      {asked.value ? (
        <Left items={toCancel} rows={rows} />
      ) : (
        <p>
          {toCancel.length === 0
            ? "None of the ticked runs goes on: there is nothing to cancel."
            : "Runs that they started are canceled too. What was used so far is billed."}
          {toCancel.length > 0 && over.length > 0 && ` ${count(over.length, "ticked run")} ended already and will be skipped.`}
        </p>
      )}
      <ul class="results">
        {items.map((each) => (
          <Result key={each.run.id} item={each} rows={rows} />
        ))}
      </ul>
      <div class="actions">
        {!asked.value && toCancel.length > 0 && (
          <button type="button" class="button button-bad" onClick={start}>
            Cancel {count(toCancel.length, "run")}
          </button>
        )}
        <button type="button" class="button" onClick={() => close(asked.value)}>
          {asked.value || toCancel.length === 0 ? "Close" : "Keep them"}
        </button>
      </div>
    </Dialog>
  );
}

/** What still goes on: a cancel that was asked for has not ended anything yet. */
function Left({ items, rows }: { items: Item[]; rows: RunRows }) {
  const going = items.filter((each) => !ended(nowOf(each, rows).status)).length;
  return (
    <div class={going > 0 ? "notice notice-warn" : "notice"} role="status">
      {going > 0 ? `${count(going, "run")} still ${going === 1 ? "goes" : "go"} on.` : "None of them goes on any more."}
    </div>
  );
}

function nowOf(item: Item, rows: RunRows): Summary {
  return rows.has(item.run.id) ? rows.row(item.run.id).value : item.run;
}

function Result({ item, rows }: { item: Item; rows: RunRows }) {
  const now = nowOf(item, rows);
  return (
    <li>
      <Status state={now.status} />
      <span class="cut">{now.name}</span>
      <span class={item.bad.value ? "field-error" : "quiet small"} aria-live="polite">{item.told.value}</span>
    </li>
  );
}

async function cancelAll(items: Item[]): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) await cancel(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function cancel(item: Item): Promise<void> {
  item.told.value = "Asking…";
  try {
    await send(apiUrl(`/predictions/${item.run.id}/cancel`), { method: "POST" });
    item.told.value = "Cancel asked for.";
  } catch (error) {
    item.bad.value = true;
    item.told.value = (error as Error).message;
  }
}
