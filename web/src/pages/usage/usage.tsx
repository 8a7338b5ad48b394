/** What was used and what it cost: by day, pipeline, model or namespace; budgets; closed months. */

import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, apiUrl } from "../../api/client";
import { now } from "../../app/clock";
import { useLoad } from "../../app/load";
import { param, setQuery } from "../../app/router";
import { me, namespace, refresh, rightsIn } from "../../app/session";
import { Chart, COLOURS } from "../../parts/chart";
import { Meter } from "../../parts/meter";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { NoRight } from "../../parts/no-right";
import { Scroll } from "../../parts/scroll";
import { length, money } from "../../parts/text";
import { Budgets } from "./budgets";
import { Controls } from "./controls";
import { Months } from "./months";
import { DAY_MS, daysOf, lastOf, type Range, rangeOf } from "./range";
import { type By, groupsOf, type Report, seriesOf, type Shown, type Sums } from "./report";
import "../../parts/figures.css";
import "./usage.css";

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const TITLES: Record<Shown, string> = {
  cost: "Cost a day",
  predictions: "Predictions a day",
  time: "Active time a day",
};

/** The first moment of today, in UTC: changes once a day. */
const today = computed(() => Math.floor(now.value / DAY_MS) * DAY_MS);

export default function Usage() {
  useEffect(() => {
    document.title = "Usage · Mayfly";
    // Budgets are told with who one is, and may be old.
    void refresh();
  }, []);
  const place = namespace.value;
  const everywhere = place === "" || place === "*";
  const may = everywhere ? me.value?.all_namespaces : rightsIn(place).read || me.value?.all_namespaces;
  return (
    <>
      <header class="head">
        <h1>Usage</h1>
        <span class="badge">{everywhere ? "all namespaces" : place}</span>
      </header>
      {may ? <Reported place={everywhere ? "" : place} /> : <NoRight right="read" namespace={everywhere ? "" : place} />}
      <Budgets />
      {me.value?.all_namespaces && <Months />}
    </>
  );
}

function Reported({ place }: { place: string }) {
  const by = choice<By>("by", ["day", "pipeline", "model", "namespace"]);
  const shown = choice<Shown>("show", ["cost", "predictions", "time"]);
  const range = rangeOf(param("range"), param("from"), param("to"), today.value);
  const keys = by === "day" ? "day" : `day,${by}`;
  const query = { from: range.from, to: range.to, by: keys };
  const { state, again } = useLoad(
    (signal) => ask<Report>("/usage", place, { query, signal }),
    [place, range.from, range.to, keys],
  );
  const { value, error, loading } = state.value;
  return (
    <>
      <Controls by={by} shown={shown} range={range} />
      {error && <ErrorNotice error={error} again={again} />}
      {!value && !error && <Loading />}
      {value && (
        <section class={`stack ${loading ? "usage-old" : ""}`} aria-label="Report" aria-busy={loading}>
          <Totals totals={value.totals} />
          {value.rows.length === 0 ? (
            <Empty title="Nothing was used in this time">
              <p>A prediction is counted once it has ended, on the day when it was recorded (UTC).</p>
              <button type="button" class="button" onClick={() => setQuery({ range: "30d" })}>
                Show the last 30 days
              </button>
            </Empty>
          ) : (
            // While another report is on its way, the older one is shown as what it is.
            <Found report={value} by={value.by.includes(by) ? by : "day"} shown={shown} range={range} />
          )}
          <Downloads place={place} query={query} range={range} />
        </section>
      )}
    </>
  );
}

/** A word of the URL, if it is one of these; otherwise the first. */
function choice<T extends string>(name: string, known: readonly [T, ...T[]]): T {
  const given = param(name);
  return known.find((each) => each === given) ?? known[0];
}

function Totals({ totals }: { totals: Sums[] }) {
  const currency = me.value?.currency ?? "";
  const zero = { cost: "0", currency, predictions: 0, active_milliseconds: 0, output_items: 0 };
  const shown = totals.length > 0 ? totals : [{ ...zero, input_tokens: 0, output_tokens: 0 }];
  return (
    <>
      {shown.map((each) => (
        <dl key={each.currency} class="totals">
          <Total name="Cost" value={money(each.cost, each.currency)} exact={`${each.cost} ${each.currency}`} />
          <Total name="Predictions" value={each.predictions.toLocaleString("en")} />
          <Total name="Active time" value={length(each.active_milliseconds / 1000)} />
          <Total name="Items" value={each.output_items.toLocaleString("en")} />
          <Total
            name="Tokens in, out"
            value={`${each.input_tokens.toLocaleString("en")}, ${each.output_tokens.toLocaleString("en")}`}
          />
        </dl>
      ))}
    </>
  );
}

function Total({ name, value, exact }: { name: string; value: string; exact?: string }) {
  return (
    <div class="card total">
      <dt>{name}</dt>
      <dd class="number" title={exact}>{value}</dd>
    </div>
  );
}

function Found({ report, by, shown, range }: { report: Report; by: By; shown: Shown; range: Range }) {
  const days = daysOf(range, today.value);
  // One installation has one currency; after a change the older one is in the totals alone.
  const currencies = report.totals.map((each) => each.currency);
  const own = me.value?.currency ?? "";
  const currency = currencies.includes(own) ? own : (currencies[0] ?? own);
  const rows = report.rows.filter((row) => row.currency === currency);
  const say = (value: number) => said(value, shown, currency);
  return (
    <>
      {currencies.length > 1 && (
        <p class="notice">There is usage in several currencies; the chart shows {currency}.</p>
      )}
      <div class="card">
        <Chart
          title={TITLES[shown]}
          along="Day (UTC)"
          labels={days.map((day) => DAY.format(Date.parse(day)))}
          series={seriesOf(rows, days, by, shown, COLOURS)}
          say={say}
        />
      </div>
      {by !== "day" && <Groups rows={rows} by={by} shown={shown} currency={currency} />}
    </>
  );
}

function said(value: number, shown: Shown, currency: string): string {
  if (shown === "cost") return money(String(value), currency);
  if (shown === "time") return value === 0 ? "0 s" : length(value);
  return value.toLocaleString("en");
}

const NAMES: Record<By, string> = { day: "Day", pipeline: "Pipeline", model: "Model", namespace: "Namespace" };

function Groups({ rows, by, shown, currency }: { rows: Report["rows"]; by: By; shown: Shown; currency: string }) {
  const groups = groupsOf(rows, by, shown);
  const largest = Math.max(...groups.map((each) => each.cost), 0);
  return (
    <Scroll label={`Usage by ${NAMES[by].toLowerCase()}`}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{NAMES[by]}</th>
            <th scope="col" class="right">Predictions</th>
            <th scope="col" class="right">Active time</th>
            <th scope="col" class="right">Cost</th>
            <th scope="col" class="usage-share"><span class="for-readers">Share of the largest</span></th>
          </tr>
        </thead>
        <tbody>
          {groups.map((each) => (
            <tr key={each.name}>
              <td class="usage-name">{each.name || "(none)"}</td>
              <td class="right number">{each.predictions.toLocaleString("en")}</td>
              <td class="right number">{said(each.seconds, "time", currency)}</td>
              <td class="right number">{money(String(each.cost), currency)}</td>
              <td class="usage-share">
                {largest > 0 && (
                  <Meter
                    label={`Cost of ${each.name}, beside the largest`}
                    value={each.cost}
                    most={largest}
                    said={money(String(each.cost), currency)}
                  />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Downloads({
  place,
  query,
  range,
}: {
  place: string;
  query: Record<string, string>;
  range: Range;
}) {
  const { from, to } = query;
  const name = `${from}-${lastOf(range)}`;
  const csv = { ...query, format: "csv" };
  return (
    <p class="row">
      <a class="button" href={apiUrl("/usage", place, csv)} download={`usage-${name}.csv`}>
        Download this as CSV
      </a>
      <a class="button button-quiet" href={apiUrl("/usage/records", place, { from, to, format: "csv" })} download={`records-${name}.csv`}>
        Every record
      </a>
      <a class="button button-quiet" href={apiUrl("/usage/focus", place, { from, to })} download={`focus-${name}.csv`}>
        FOCUS 1.2
      </a>
    </p>
  );
}
