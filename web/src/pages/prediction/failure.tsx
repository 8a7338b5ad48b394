/** Why the run failed: what failed first in its tree, where that is, and its own words. */

import { href } from "../../app/router";
import { because } from "../../parts/reasons";
import { firstFailure } from "./first-failure";
import type { Followed } from "./follow";
import type { Detail } from "./types";

export function Failure({ followed, detail }: { followed: Followed; detail: Detail }) {
  const status = followed.run.value?.status ?? detail.status;
  if (status === "canceled") return <Canceled detail={detail} />;
  if (status !== "failed") return null;
  const first = firstFailure(followed.runs.value.values());
  const elsewhere = first !== null && first.run.id !== detail.id;
  const run = first && elsewhere ? first.run : (followed.run.value ?? detail);
  const error = elsewhere ? run.error : (detail.error ?? run.error);
  return (
    <section class="notice notice-bad failure" aria-label="Why it failed">
      <strong>
        {first && elsewhere ? (
          <>First failed: <a href={href(`predictions/${run.id}`)}>{run.name}</a>, on level {first.run.depth} of the tree</>
        ) : (
          "This run failed"
        )}
      </strong>
      <p>
        {because(run.reason)} {run.reason && <code>{run.reason}</code>}
      </p>
      {error && <pre class="failure-error">{error}</pre>}
      {first && elsewhere && (
        <>
          <p class="small">
            {first.above.map((each) => (
              <span key={each.id}>
                <a href={href(`predictions/${each.id}`)}>{each.name}</a>
                <span aria-hidden="true"> › </span>
              </span>
            ))}
            <a href={href(`predictions/${run.id}`)}>{run.name}</a>
          </p>
          {detail.error && detail.error !== error && (
            <div>
              <p>Then this run failed:</p>
              <pre class="failure-error">{detail.error}</pre>
            </div>
          )}
        </>
      )}
      <p class="small">
        <a href={href(`predictions/${run.id}`, { tab: "log" })}>Its log</a>
      </p>
    </section>
  );
}

function Canceled({ detail }: { detail: Detail }) {
  if (!detail.reason || detail.reason === "Canceled") return null;
  return (
    <section class="notice">
      <strong>Canceled</strong>
      <p>{because(detail.reason)} <code>{detail.reason}</code></p>
    </section>
  );
}
