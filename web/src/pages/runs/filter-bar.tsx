/** The filters above the list; each is in the URL. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Status as State } from "../../api/types";
import { setQuery } from "../../app/router";
import { Status } from "../../parts/status";
import { CLEARED, type Filters, isFiltered, STATUSES } from "./filters";

const TYPING_MS = 300;

export function FilterBar({ filters }: { filters: Filters }) {
  const more = useSignal(filters.from !== "" || filters.until !== "" || filters.kind !== "" || filters.model !== "");
  return (
    <search class="filters" aria-label="Filters">
      <div class="filters-line">
        <Words name="q" label="Search" text={filters.q} hint="Search name, input or id" />
        <Statuses chosen={filters.status} />
        <div class="row filters-end">
          <button
            type="button"
            class="button button-quiet"
            aria-expanded={more.value}
            onClick={() => {
              more.value = !more.value;
            }}
          >
            {more.value ? "Fewer filters" : "More filters"}
          </button>
          {isFiltered(filters) && (
            <button type="button" class="button button-quiet" onClick={() => setQuery(CLEARED, { replace: false })}>
              Clear
            </button>
          )}
        </div>
      </div>
      {more.value && <More filters={filters} />}
    </search>
  );
}

function Statuses({ chosen }: { chosen: readonly State[] }) {
  const toggle = (each: State) => {
    const now = chosen.includes(each) ? chosen.filter((other) => other !== each) : [...chosen, each];
    setQuery({ status: now.join(",") }, { replace: false });
  };
  return (
    <div class="chips" role="group" aria-label="Status">
      {STATUSES.map((each) => (
        <button key={each} type="button" class="chip" aria-pressed={chosen.includes(each)} onClick={() => toggle(each)}>
          <Status state={each} />
        </button>
      ))}
    </div>
  );
}

function More({ filters }: { filters: Filters }) {
  return (
    <div class="filters-more">
      <label class="field">
        <span>Kind</span>
        <select value={filters.kind} onChange={(event) => setQuery({ kind: event.currentTarget.value }, { replace: false })}>
          <option value="">Pipelines and models</option>
          <option value="pipeline">Pipelines</option>
          <option value="model">Models</option>
        </select>
      </label>
      <div class="field">
        <span aria-hidden="true">Pipeline</span>
        <Words name="model" label="Pipeline" text={filters.model} hint="namespace/name" />
      </div>
      <Day name="from" label="From" day={filters.from} most={filters.until} />
      <Day name="until" label="Until" day={filters.until} least={filters.from} />
      <label class="filters-tick">
        <input
          type="checkbox"
          checked={filters.children}
          onChange={(event) => setQuery({ children: event.currentTarget.checked ? "yes" : null }, { replace: false })}
        />
        Also runs that other runs started
      </label>
    </div>
  );
}

function Day({ name, label, day, least, most }: { name: string; label: string; day: string; least?: string; most?: string }) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="date"
        value={day}
        min={least || undefined}
        max={most || undefined}
        onChange={(event) => setQuery({ [name]: event.currentTarget.value }, { replace: false })}
      />
    </label>
  );
}

/** A text that filters a moment after the last key. */
function Words({ name, label, text, hint }: { name: string; label: string; text: string; hint: string }) {
  const typed = useSignal(text);
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    typed.value = text;
    return () => clearTimeout(waiting.current);
  }, [text, typed]);
  return (
    <input
      type="search"
      class="filters-words"
      aria-label={label}
      placeholder={hint}
      spellcheck={false}
      autocomplete="off"
      value={typed.value}
      onInput={(event) => {
        typed.value = event.currentTarget.value;
        clearTimeout(waiting.current);
        waiting.current = setTimeout(() => setQuery({ [name]: typed.value.trim() }), TYPING_MS);
      }}
    />
  );
}
