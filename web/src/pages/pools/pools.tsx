/** Pods that wait for runs: how many there are, whether they are enough, how long starts take. */

import { useEffect } from "preact/hooks";
import { ask } from "../../api/client";
import { useLoad } from "../../app/load";
import { namespace } from "../../app/session";
import { Chart } from "../../parts/chart";
import { Copy } from "../../parts/copy";
import { Meter } from "../../parts/meter";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { count, length } from "../../parts/text";
import { barsOf, rateOf, type Starts, within } from "./starts";
import "../../parts/figures.css";
import "./pools.css";

interface Pool {
  /** null: the counts are of several namespaces together. */
  namespace: string | null;
  namespaces?: string[];
  runtime: string;
  wanted: number;
  waiting: number;
  starting: number;
  claimed: number;
  problem: string | null;
}

interface Pools {
  pools: Pool[];
  starts: Starts | null;
  hits: number | null;
  misses: number | null;
}

const EVERY_MS = 4000;

export default function PoolsPage() {
  const place = namespace.value;
  const { state, again } = useLoad((signal) => ask<Pools>("/pools", place, { signal }), [place]);
  useEffect(() => {
    document.title = "Pools · Mayfly";
    const look = () => {
      if (!document.hidden) again();
    };
    const timer = setInterval(look, EVERY_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [again]);
  const { value, error } = state.value;
  return (
    <>
      <header class="head">
        <h1>Pools</h1>
        <p class="quiet">Pods that have booted and wait, so that a run starts at once.</p>
      </header>
      {error && <ErrorNotice error={error} again={again} />}
      {!value && !error && <Loading rows={3} />}
      {value && (value.pools.length === 0 ? <SwitchOn place={place} /> : <PoolList pools={value.pools} />)}
      {value && <Hits hits={value.hits} misses={value.misses} />}
      {value?.starts && <StartTimes starts={value.starts} />}
    </>
  );
}

function SwitchOn({ place }: { place: string }) {
  const where = place && place !== "*" ? place : "NAMESPACE";
  const label = `kubectl label namespace ${where} mayfly.dev/warm=default`;
  const size = "helm upgrade … --set runtime.default.warm.min=2 --set runtime.default.warm.max=10";
  return (
    <Empty title="No pods wait for runs here">
      <p>
        Each run gets a pod of its own, which boots first: about a second on an idle machine. To have pods that
        wait, say how many in the runtime, and where by a label on the namespace.
      </p>
      <pre class="command">{`${size}\n${label}`}</pre>
      <Copy text={`${size}\n${label}`} label="Copy the commands" />
      <p class="small">A pod that waits holds its runtime's requests for CPU and memory. It is not billed.</p>
    </Empty>
  );
}

function PoolList({ pools }: { pools: Pool[] }) {
  return (
    <ul class="pools" aria-label="Pools">
      {pools.map((pool) => (
        <li key={`${pool.runtime}/${pool.namespace}`} class="card">
          <PoolCard pool={pool} />
        </li>
      ))}
    </ul>
  );
}

function PoolCard({ pool }: { pool: Pool }) {
  const names = pool.namespaces ?? (pool.namespace ? [pool.namespace] : []);
  const ready = pool.waiting >= pool.wanted;
  return (
    <>
      <div class="row">
        <h2>{pool.namespace ?? count(names.length, "namespace")}</h2>
        <span class="badge">runtime {pool.runtime}</span>
      </div>
      {pool.namespace === null && (
        <p class="small quiet">
          {names.join(", ")}. The counts are of all namespaces with this pool together.
        </p>
      )}
      <p class={ready ? "pool-ready" : "pool-short"}>
        <strong class="number">{pool.waiting}</strong> of {pool.wanted} wait{pool.waiting === 1 ? "s" : ""}
      </p>
      <Meter
        label="Waiting, of those that should"
        value={Math.min(pool.waiting, pool.wanted)}
        most={Math.max(1, pool.wanted)}
        said={`${pool.waiting} of ${pool.wanted}`}
      />
      <dl class="facts">
        <dt>Starting</dt>
        <dd class="number">{pool.starting}</dd>
        <dt>Taken by a run</dt>
        <dd class="number">{pool.claimed}</dd>
      </dl>
      {pool.problem && <p class="notice notice-bad">{pool.problem}</p>}
    </>
  );
}

function Hits({ hits, misses }: { hits: number | null; misses: number | null }) {
  const rate = rateOf(hits, misses);
  if (!rate) return null;
  return (
    <dl class="totals">
      <div class="card total">
        <dt>Starts that found a pod</dt>
        <dd class="number">{rate}</dd>
      </div>
      <div class="card total">
        <dt>Found one</dt>
        <dd class="number">{(hits ?? 0).toLocaleString("en")}</dd>
      </div>
      <div class="card total">
        <dt>Found none</dt>
        <dd class="number">{(misses ?? 0).toLocaleString("en")}</dd>
      </div>
    </dl>
  );
}

function StartTimes({ starts }: { starts: Starts }) {
  const bars = barsOf(starts.buckets);
  const half = within(starts, 0.5);
  const most = within(starts, 0.95);
  return (
    <section class="stack" aria-labelledby="starts">
      <h2 id="starts">How long starts took</h2>
      {bars.length === 0 ? (
        <p class="quiet">Nothing has started since this gateway did.</p>
      ) : (
        <>
          <p>
            {count(starts.count, "start")}, {length(starts.sum / starts.count)} on average
            {half !== null && `; half of them within ${length(half)}`}
            {most !== null && `, 95 % within ${length(most)}`}.{" "}
            <span class="quiet">Counted by this gateway since it started, for all namespaces.</span>
          </p>
          <div class="card">
            <Chart
              title="Starts by how long they took"
              along="Took"
              labels={bars.map((bar) => bar.label)}
              series={[{ name: "Starts", values: bars.map((bar) => bar.count) }]}
              say={(value) => value.toLocaleString("en")}
            />
          </div>
        </>
      )}
    </section>
  );
}
