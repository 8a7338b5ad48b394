/** The list of runs: new ones come by themselves, and nothing moves under who reads. */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Summary } from "../../api/types";
import { href, query, setQuery } from "../../app/router";
import { namespace } from "../../app/session";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { count } from "../../parts/text";
import { Bulk } from "./bulk";
import { FilterBar } from "./filter-bar";
import { asked, CLEARED, type Filters, filtersOf, isFiltered } from "./filters";
import { RunList } from "./list";
import { RunTable } from "./table";
import "./runs.css";

export default function Runs() {
  const list = useMemo(() => new RunList(), []);
  const where = namespace.value;
  const filters = filtersOf(query.value);
  const key = JSON.stringify([where, asked(filters)]);
  useEffect(() => {
    document.title = "Runs · Mayfly";
  }, []);
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- the key says the filters
  useEffect(() => list.open(where, filters), [list, key]);
  return (
    <>
      <div class="head">
        <h1>Runs</h1>
        {!list.live.value && <span class="badge" role="status">Reconnecting…</span>}
      </div>
      {where !== "" && <FilterBar filters={filters} />}
      <List list={list} filters={filters} />
    </>
  );
}

function List({ list, filters }: { list: RunList; filters: Filters }) {
  const canceling = useSignal<Summary[] | null>(null);
  if (list.loading.value) return <Loading />;
  if (list.error.value && list.rows.order.value.length === 0) {
    return <ErrorNotice error={list.error.value} again={list.reload} />;
  }
  if (list.rows.order.value.length === 0) return <NoRuns filters={filters} held={list} />;
  return (
    <div class="stack runs">
      <HeldRuns list={list} />
      <RunTable rows={list.rows} ticked={list.ticked} />
      {list.error.value && <ErrorNotice error={list.error.value} />}
      <Older list={list} />
      <TickedBar
        list={list}
        cancel={() => {
          canceling.value = [...list.ticked.value].map((id) => list.rows.row(id).value);
        }}
      />
      {canceling.value && (
        <Bulk
          runs={canceling.value}
          rows={list.rows}
          close={(started) => {
            canceling.value = null;
            if (started) list.ticked.value = new Set();
          }}
        />
      )}
    </div>
  );
}

function HeldRuns({ list }: { list: RunList }) {
  const held = list.rows.held.value.length;
  return (
    <div class="runs-held" aria-live="polite">
      {held > 0 && (
        <button
          type="button"
          class="button button-main"
          onClick={() => {
            list.rows.show();
            scrollTo({ top: 0 });
          }}
        >
          {count(held, "new run")}
        </button>
      )}
    </div>
  );
}

function Older({ list }: { list: RunList }) {
  const shown = list.rows.order.value.length;
  return (
    <div class="runs-end">
      <span class="quiet small">{list.next.value ? `${count(shown, "run")} shown` : count(shown, "run")}</span>
      {list.next.value && (
        <button type="button" class="button" disabled={list.growing.value} onClick={list.older}>
          {list.growing.value ? "Loading…" : "Older"}
        </button>
      )}
    </div>
  );
}

function TickedBar({ list, cancel }: { list: RunList; cancel: () => void }) {
  const many = list.ticked.value.size;
  if (many === 0) return null;
  return (
    <div class="runs-ticked" role="group" aria-label="What to do with the ticked runs">
      <strong>{count(many, "run")} ticked</strong>
      <button type="button" class="button button-bad" onClick={cancel}>Cancel…</button>
      <button
        type="button"
        class="button button-quiet"
        onClick={() => {
          list.ticked.value = new Set();
        }}
      >
        Untick all
      </button>
    </div>
  );
}

const START = "kubectl create -f run.yaml";

function NoRuns({ filters, held }: { filters: Filters; held: RunList }) {
  if (namespace.value === "") {
    return (
      <Empty title="You may list runs in no namespace">
        <p>Choose a namespace above, or see <a href={href("me")}>what you may do</a>.</p>
      </Empty>
    );
  }
  if (isFiltered(filters)) {
    return (
      <Empty title="No run matches">
        <p>Nothing in {place()} fits these filters.</p>
        <button type="button" class="button" onClick={() => setQuery(CLEARED, { replace: false })}>Clear the filters</button>
      </Empty>
    );
  }
  return (
    <Empty title="No runs yet">
      {held.rows.held.value.length > 0 && <HeldRuns list={held} />}
      <p>
        Nothing has run in {place()}. Open a <a href={href("models")}>pipeline</a> and press Run, write a{" "}
        <a href={href("new")}>new one</a>, or create a PipelineRun:
      </p>
      <pre class="command">{START}</pre>
      {!filters.children && (
        <p>
          Runs that other runs started are not shown.{" "}
          <a href={href("runs", { children: "yes" })}>Show them too</a>
        </p>
      )}
    </Empty>
  );
}

function place(): string {
  return namespace.value === "*" ? "any namespace" : `the namespace ${namespace.value}`;
}
