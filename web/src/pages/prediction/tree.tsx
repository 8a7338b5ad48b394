/** The run and everything that it started, over time. */

import { apiUrl } from "../../api/client";
import { href } from "../../app/router";
import { Loading } from "../../parts/notices";
import { ended } from "../../parts/status";
import { count, money } from "../../parts/text";
import { Timeline } from "../../parts/timeline";
import type { Followed } from "./follow";
import type { Detail } from "./types";

export function Tree({ followed, detail }: { followed: Followed; detail: Detail }) {
  const many = followed.runs.value.size;
  if (many === 0) return <Loading />;
  return (
    <div class="stack">
      <div class="head">
        <p class="quiet">
          {many === 1 ? "This run started no other run." : <Counts followed={followed} />}
          {detail.root !== detail.id && (
            <> Above it are others: <a href={href(`predictions/${detail.root}`, { tab: "tree" })}>see the whole tree</a>.</>
          )}
        </p>
        <div class="actions">
          <a class="button button-quiet" href={apiUrl(`/predictions/${detail.id}/timeline`)} download={`${detail.name}-tree.json`}>Download</a>
        </div>
      </div>
      {followed.truncated.value && <div class="notice notice-warn">The tree is larger than what is shown here.</div>}
      <Timeline runs={followed.runs} here={detail.id} />
      <Totals followed={followed} detail={detail} />
    </div>
  );
}

function Counts({ followed }: { followed: Followed }) {
  const runs = [...followed.runs.value.values()];
  const failed = runs.filter((each) => each.status === "failed").length;
  const going = runs.filter((each) => !ended(each.status)).length;
  return (
    <>
      {count(runs.length, "run")}
      {going > 0 && `, ${going.toLocaleString("en")} going on`}
      {failed > 0 && `, ${failed.toLocaleString("en")} failed`}.
    </>
  );
}

function Totals({ followed, detail }: { followed: Followed; detail: Detail }) {
  const final = detail.final === true && followed.settled.value;
  const total = final && detail.total_cost ? detail.total_cost : followed.treeCost.value;
  return (
    <p class="run-total">
      <span>Cost of this run and all below it</span>
      <span class="badge">{final ? "final" : "so far"}</span>
      <strong class="number">{money(total, detail.currency)}</strong>
    </p>
  );
}
