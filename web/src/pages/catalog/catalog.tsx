/** The Pipelines and Models that one may call, with how their last runs went. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, follow } from "../../api/client";
import type { Page, Status as State } from "../../api/types";
import { useLoad } from "../../app/load";
import { href, param, setQuery } from "../../app/router";
import { me, namespace } from "../../app/session";
import { Copy } from "../../parts/copy";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { length, money } from "../../parts/text";
import { Ago } from "../../parts/time";
import type { Card } from "../model/types";
import "./catalog.css";

const TYPING_MS = 250;
/** Makes a first pipeline. */
function firstPipeline(): string {
  const where = namespace.value === "*" || namespace.value === "" ? "default" : namespace.value;
  return `kubectl apply -f - <<'END'
apiVersion: mayfly.dev/v1alpha1
kind: Pipeline
metadata:
  name: shout
  namespace: ${where}
spec:
  source:
    inline: |
      def main(text: str) -> str:
          return text.upper()
END`;
}

export default function Catalog() {
  const q = param("q");
  const kind = param("kind");
  const { state, again } = useLoad(
    (signal) => ask<Page<Card>>("/catalog", namespace.value, { query: { q, kind }, signal }),
    [q, kind, namespace.value],
  );
  const more = useSignal<{ cards: Card[]; next: string | null } | null>(null);
  const { value, error, loading } = state.value;
  useEffect(() => {
    document.title = "Pipelines · Mayfly";
  }, []);
  useEffect(() => {
    more.value = null;
  }, [value, more]);
  const cards = [...(value?.results ?? []), ...(more.value?.cards ?? [])];
  const next = more.value ? more.value.next : (value?.next ?? null);
  return (
    <>
      <div class="head">
        <h1>Pipelines and Models</h1>
      </div>
      <Filters />
      {error && <ErrorNotice error={error} again={again} />}
      {!value && !error && <Loading />}
      {value && cards.length === 0 && <Nothing filtered={q !== "" || kind !== ""} />}
      {cards.length > 0 && (
        <ul class="catalog" aria-busy={loading}>
          {cards.map((card) => <Entry key={`${card.kind} ${card.owner}/${card.name}`} card={card} />)}
        </ul>
      )}
      {next && <More next={next} add={(page) => { more.value = { cards: [...(more.value?.cards ?? []), ...page.results], next: page.next }; }} />}
    </>
  );
}

function Filters() {
  const text = useSignal(param("q"));
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text.value.trim() !== param("q")) setQuery({ q: text.value.trim() });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text.value]);
  return (
    <search class="row catalog-filters">
      <label>
        <span class="for-readers">Search</span>
        <input
          type="search"
          placeholder="Search names, aliases and descriptions"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
      </label>
      <label>
        <span class="for-readers">Kind</span>
        <select value={param("kind")} onChange={(event) => setQuery({ kind: event.currentTarget.value }, { replace: false })}>
          <option value="">Pipelines and Models</option>
          <option value="pipeline">Pipelines</option>
          <option value="model">Models</option>
        </select>
      </label>
    </search>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  if (filtered) {
    return (
      <Empty title="Nothing matches">
        <button type="button" class="button" onClick={() => setQuery({ q: null, kind: null })}>Show all</button>
      </Empty>
    );
  }
  return (
    <Empty title="No pipelines yet">
      <p>A pipeline is a Python file with a function main(). Write one here, or make one with kubectl:</p>
      <a class="button button-main" href={href("new")}>New pipeline</a>
      <pre class="command">{firstPipeline()}</pre>
      <Copy text={firstPipeline} label="Copy the command" />
    </Empty>
  );
}

function Entry({ card }: { card: Card }) {
  const currency = card.stats.currency ?? me.value?.currency ?? "";
  const { stats } = card;
  return (
    <li class="card catalog-card">
      <div class="catalog-what">
        <div class="row">
          <a class="catalog-name" href={href(`models/${card.owner}/${card.name}`)}>
            <span class="quiet">{card.owner}/</span>{card.name}
          </a>
          <span class="badge">{card.kind === "model" ? "Model" : "Pipeline"}</span>
          <span class="badge">{card.visibility}</span>
          {card.alias && <span class="quiet small">also <code>{card.alias}</code></span>}
        </div>
        {card.description && <p class="quiet catalog-words">{card.description}</p>}
        {card.problem && <p class="catalog-problem">{card.problem}</p>}
        {!card.problem && card.latest_version === null && <p class="quiet small">No version yet.</p>}
      </div>
      <dl class="catalog-stats">
        <div>
          <dt>Last runs</dt>
          <dd>{stats.recent.length > 0 ? <Sparkline states={stats.recent.map((each) => each.status)} /> : <span class="quiet">none</span>}</dd>
        </div>
        <div>
          <dt>Success</dt>
          <dd>{stats.success_rate === null ? "–" : `${percent(stats.success_rate)} %`}</dd>
        </div>
        <div>
          <dt>Time</dt>
          <dd>{stats.seconds ? length(stats.seconds.median) : "–"}</dd>
        </div>
        <div>
          <dt>Cost</dt>
          <dd>{stats.cost ? money(stats.cost.median, currency) : "–"}</dd>
        </div>
        <div>
          <dt>Last run</dt>
          <dd>{stats.last_run_at ? <Ago at={stats.last_run_at} /> : "never"}</dd>
        </div>
      </dl>
    </li>
  );
}

/** A rate as whole percents; less than all is never shown as 100. */
function percent(rate: number): number {
  return rate < 1 ? Math.min(99, Math.round(rate * 100)) : 100;
}

const WORDS: Record<State, string> = {
  succeeded: "succeeded",
  failed: "failed",
  canceled: "canceled",
  starting: "starting",
  processing: "running",
};

const TOPS: Record<State, number> = { succeeded: 4, failed: 0, canceled: 8, starting: 8, processing: 8 };

/** The last runs, oldest first: a bar each, whose height and colour say how it went. */
function Sparkline({ states }: { states: State[] }) {
  const shown = states.toReversed();
  const counted = (Object.keys(WORDS) as State[])
    .map((state) => [states.filter((each) => each === state).length, WORDS[state]] as const)
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${number} ${word}`);
  return (
    <svg class="sparkline" width={shown.length * 7} height="16" role="img" aria-label={`The last ${states.length}: ${counted.join(", ")}`}>
      <title>{`The last ${states.length}: ${counted.join(", ")}`}</title>
      {shown.map((state, index) => (
        <rect key={index} class={`status-${state}`} x={index * 7} y={TOPS[state]} width="5" height={16 - TOPS[state]} rx="1.5" />
      ))}
    </svg>
  );
}

function More({ next, add }: { next: string; add: (page: Page<Card>) => void }) {
  const busy = useSignal(false);
  const error = useSignal<Error | null>(null);
  const load = async () => {
    busy.value = true;
    error.value = null;
    try {
      add(await follow<Page<Card>>(next));
    } catch (problem) {
      error.value = problem as Error;
    } finally {
      busy.value = false;
    }
  };
  return (
    <div class="row">
      {error.value && <ErrorNotice error={error.value} />}
      <button type="button" class="button" disabled={busy.value} onClick={load}>{busy.value ? "Loading…" : "Show more"}</button>
    </div>
  );
}
