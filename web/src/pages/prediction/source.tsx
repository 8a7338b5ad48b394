/** The source that the run ran, whatever its pipeline has become. */

import { useSignal } from "@preact/signals";
import { ask, Problem } from "../../api/client";
import { useLoad } from "../../app/load";
import { Copy } from "../../parts/copy";
import { ErrorNotice, Loading } from "../../parts/notices";
import { bytes } from "../../parts/text";
import type { Source as Told } from "./types";

export function Source({ id }: { id: string }) {
  const { state, again } = useLoad((signal) => ask<Told>(`/predictions/${id}/source`, "", { signal }), [id]);
  const { value, error } = state.value;
  if (error instanceof Problem && error.status === 404) return <div class="notice">{error.message}</div>;
  if (error) return <ErrorNotice error={error} again={again} />;
  return value ? <Files source={value} /> : <Loading />;
}

function Files({ source }: { source: Told }) {
  const names = Object.keys(source.files).toSorted((one, other) => one.localeCompare(other));
  const entry = source.entrypoint.split(":")[0] ?? "";
  const chosen = useSignal(names.includes(entry) ? entry : (names[0] ?? ""));
  const text = source.files[chosen.value] ?? "";
  return (
    <section class="card source" aria-label="Source">
      <div class="head">
        <h2 class="mono">{chosen.value}</h2>
        <span class="quiet small">{bytes(new TextEncoder().encode(text).length)}</span>
        <div class="actions"><Copy text={() => text} /></div>
      </div>
      {names.length > 1 && (
        <div class="chips" role="group" aria-label="Files">
          {names.map((name) => (
            <button
              key={name}
              type="button"
              class="button button-quiet mono"
              aria-pressed={chosen.value === name}
              onClick={() => {
                chosen.value = name;
              }}
            >
              {name}
            </button>
          ))}
        </div>
      )}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- the keyboard must be able to scroll it */}
      <pre class="source-text" tabIndex={0}>{text}</pre>
      <p class="quiet small">
        Entrypoint <code>{source.entrypoint}</code>, version <code>{source.version.slice(0, 10)}</code>
      </p>
    </section>
  );
}
