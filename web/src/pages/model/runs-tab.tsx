/** The last runs of a Pipeline or Model; all of them are in the list of runs. */

import { href } from "../../app/router";
import type { Loaded } from "../../app/load";
import { me } from "../../app/session";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { Status } from "../../parts/status";
import { count, length, money } from "../../parts/text";
import { Ago } from "../../parts/time";
import type { Model, Stats } from "./types";

export function Runs({ model, loaded, again }: { model: Model; loaded: Loaded<Stats>; again: () => void }) {
  const stats = loaded.value;
  if (loaded.error && !stats) return <ErrorNotice error={loaded.error} again={again} />;
  if (!stats) return <Loading />;
  const all = href("runs", { model: `${model.namespace}/${model.name}` });
  if (stats.recent.length === 0) {
    return <Empty title="No runs yet"><p>Run it under the first tab, or from code: see API.</p></Empty>;
  }
  const currency = stats.currency ?? me.value?.currency ?? "";
  return (
    <div class="stack">
      <div class="head">
        <p>
          {count(stats.runs, "recent run")}: {stats.succeeded} succeeded, {stats.failed} failed, {stats.canceled} canceled
        </p>
        <div class="actions"><a class="button" href={all}>All runs</a></div>
      </div>
      <div class="table-scroll">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Status</th>
              <th scope="col">Started</th>
              <th scope="col" class="right">Time</th>
              <th scope="col" class="right">Cost</th>
              <th scope="col"><span class="for-readers">Again</span></th>
            </tr>
          </thead>
          <tbody>
            {stats.recent.map((each) => (
              <tr key={each.id}>
                <td><a class="mono" href={href(`predictions/${each.id}`)}>{each.id.slice(0, 8)}</a></td>
                <td><Status state={each.status} /></td>
                <td class="number"><Ago at={each.created_at} /></td>
                <td class="right number">{each.active_seconds === null ? "" : length(each.active_seconds)}</td>
                <td class="right number">{each.cost === null ? "" : money(each.cost, currency)}</td>
                <td class="right">
                  <a href={href(`models/${model.owner}/${model.name}`, { rerun: each.id })}>Run again</a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
