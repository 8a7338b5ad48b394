/** The bill: what was charged, what runs below cost, what was corrected, and whether it is final. */

import { ask, Problem } from "../../api/client";
import { useLoad } from "../../app/load";
import { href } from "../../app/router";
import { ErrorNotice, Loading } from "../../parts/notices";
import { Status } from "../../parts/status";
import { count, length } from "../../parts/text";
import { Moment } from "../../parts/time";
import { Wide } from "../../parts/wide";
import type { Status as State } from "../../api/types";
import type { Bill as Told } from "./types";

export function Bill({ id, over, settled }: { id: string; over: boolean; settled: boolean }) {
  const { state, again } = useLoad(
    async (signal) => {
      try {
        return await ask<Told>(`/usage/${id}`, "", { signal });
      } catch (error) {
        if (error instanceof Problem && error.status === 404) return null;
        throw error;
      }
    },
    [id, over, settled],
  );
  const { value, error } = state.value;
  if (error) return <ErrorNotice error={error} again={again} />;
  if (value === undefined) return <Loading />;
  if (value === null) return <NoBill over={over} again={again} />;
  return (
    <div class="stack">
      <Charges bill={value} />
      {value.corrections.length > 0 && <Corrections bill={value} />}
      <Downstream bill={value} />
      <Total bill={value} />
    </div>
  );
}

function NoBill({ over, again }: { over: boolean; again: () => void }) {
  if (!over) return <div class="notice">The run goes on. It has a bill once it has ended; what its tree cost so far is above.</div>;
  return (
    <div class="notice">
      <p>There is no bill of this run that you may read. It comes a moment after the end.</p>
      <button type="button" class="button" onClick={again}>Look again</button>
    </div>
  );
}

function Charges({ bill }: { bill: Told }) {
  return (
    <section class="stack" aria-label="Charges">
      <h2>Charges of this run</h2>
      {bill.charges.length === 0 ? (
        <p class="quiet">Nothing was charged.</p>
      ) : (
        <Wide label="Table of the charges">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Meter</th>
                <th scope="col" class="right">Quantity</th>
                <th scope="col" class="right">Unit price</th>
                <th scope="col" class="right">Amount, {bill.currency}</th>
              </tr>
            </thead>
            <tbody>
              {bill.charges.map((each) => (
                <tr key={each.meter}>
                  <td>{each.meter}</td>
                  <td class="right number">{each.quantity}</td>
                  <td class="right number">{each.unit_price}</td>
                  <td class="right number">{each.amount}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Wide>
      )}
      {bill.contradictions.map((each) => (
        <div key={each.flag} class="notice notice-warn"><strong>{each.flag}</strong><p>{each.sentence}</p></div>
      ))}
    </section>
  );
}

function Corrections({ bill }: { bill: Told }) {
  return (
    <section class="stack" aria-label="Corrections">
      <h2>Corrections</h2>
      <Wide label="Table of the corrections">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">By</th>
              <th scope="col">Why</th>
              <th scope="col" class="right">Difference, {bill.currency}</th>
            </tr>
          </thead>
          <tbody>
            {bill.corrections.map((each) => (
              <tr key={each.record_id}>
                <td><Moment at={each.recorded_at} /></td>
                <td>{each.author}</td>
                <td>{each.why}</td>
                <td class="right number">{each.cost}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}

function Downstream({ bill }: { bill: Told }) {
  if (bill.downstream_predictions === 0) return null;
  return (
    <section class="stack" aria-label="Runs below">
      <h2>{count(bill.downstream_predictions, "run")} below</h2>
      <Wide label="Table of the runs below" class="bill-below">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Status</th>
              <th scope="col" class="right">Active</th>
              <th scope="col" class="right">Cost, {bill.currency}</th>
            </tr>
          </thead>
          <tbody>
            {bill.downstream.map((each) => (
              <tr key={each.id}>
                <td><a href={href(`predictions/${each.id}`, { tab: "bill" })}>{each.model}</a></td>
                <td><Status state={each.outcome as State} /></td>
                <td class="right number">{length(each.active_milliseconds / 1000)}</td>
                <td class="right number">{each.cost}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
      {bill.downstream.length < bill.downstream_predictions && (
        <p class="quiet small">The first {bill.downstream.length.toLocaleString("en")} are shown; the sum has all.</p>
      )}
    </section>
  );
}

function Total({ bill }: { bill: Told }) {
  return (
    <dl class="bill-total">
      {bill.corrections.length > 0 && <Line name="Billed at first" amount={bill.billed} currency={bill.currency} />}
      <Line name="This run" amount={bill.cost} currency={bill.currency} />
      <Line name="Runs below" amount={bill.downstream_cost} currency={bill.currency} />
      <Line name={bill.final ? "Total, final" : "Total, so far"} amount={bill.total_cost} currency={bill.currency} />
    </dl>
  );
}

function Line({ name, amount, currency }: { name: string; amount: string; currency: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="number">{amount} {currency}</dd>
    </div>
  );
}
