/** Closed months: nothing is recorded in them any more, and anyone can check that. */

import { useSignal } from "@preact/signals";
import { ask } from "../../api/client";
import type { Page } from "../../api/types";
import { useLoad } from "../../app/load";
import { Copy } from "../../parts/copy";
import { ErrorNotice, Loading } from "../../parts/notices";
import { Scroll } from "../../parts/scroll";
import { Moment } from "../../parts/time";
import { count } from "../../parts/text";
import type { Period, Verified } from "./report";

export function Months() {
  const { state, again } = useLoad((signal) => ask<Page<Period>>("/usage/periods", "", { signal }), []);
  const { value, error } = state.value;
  return (
    <section class="stack" aria-labelledby="months">
      <h2 id="months">Closed months</h2>
      {error && <ErrorNotice error={error} again={again} />}
      {!value && !error && <Loading rows={2} />}
      {value?.results.length === 0 && (
        <p class="quiet">
          None yet. A month that is over is closed with <code>mayfly usage close 2026-10</code>: from then on
          nothing is added to it.
        </p>
      )}
      {value && value.results.length > 0 && (
        <Scroll label="Table of closed months">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Month</th>
                <th scope="col">Closed</th>
                <th scope="col" class="right">Records</th>
                <th scope="col" class="right">Cost</th>
                <th scope="col">sha256 of its records</th>
                <th scope="col"><span class="for-readers">Check</span></th>
              </tr>
            </thead>
            <tbody>
              {value.results.map((each) => (
                <Month key={each.period} month={each} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

function Month({ month }: { month: Period }) {
  return (
    <tr>
      <td><strong>{month.period}</strong></td>
      <td>
        <Moment at={month.closed_at} /> <span class="quiet">by {month.closed_by || "somebody"}</span>
      </td>
      <td class="right number">{month.records?.toLocaleString("en") ?? "not known"}</td>
      <td class="right number">
        {(month.sums ?? []).map((each) => `${each.cost} ${each.currency}`).join(", ") || "0"}
      </td>
      <td>
        {month.sha256 && (
          <span class="row">
            <code title={month.sha256}>{month.sha256.slice(0, 12)}…</code>
            <Copy text={month.sha256} />
          </span>
        )}
      </td>
      <td><Verify period={month.period} /></td>
    </tr>
  );
}

function Verify({ period }: { period: string }) {
  const told = useSignal("");
  const bad = useSignal(false);
  const busy = useSignal(false);
  const verify = async () => {
    busy.value = true;
    try {
      const found = await ask<Verified>(`/usage/periods/${period}/verify`);
      bad.value = !found.matches;
      told.value = found.matches
        ? `Unchanged: ${count(found.now.records ?? 0, "record")}`
        : `Differs now: ${count(found.now.records ?? 0, "record")}, sha256 ${found.now.sha256 ?? "none"}`;
    } catch (error) {
      bad.value = true;
      told.value = (error as Error).message;
    } finally {
      busy.value = false;
    }
  };
  return (
    <span class="row">
      <button type="button" class="button" disabled={busy.value} onClick={verify}>
        {busy.value ? "Counting…" : "Verify"}
      </button>
      <span role="status" class={bad.value ? "field-error" : "verified"}>{told.value}</span>
    </span>
  );
}
