/** The state of a prediction: a mark and a word, so that neither colour nor sight is needed. */

import type { Status as State } from "../api/types";

const WORDS: Record<State, string> = {
  starting: "Starting",
  processing: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  canceled: "Canceled",
};

/** Whether nothing changes any more. */
export function ended(state: State): boolean {
  return state === "succeeded" || state === "failed" || state === "canceled";
}

export function Status({ state, compact = false }: { state: State; compact?: boolean }) {
  return (
    <span class={`status status-${state}`} title={compact ? WORDS[state] : undefined}>
      <Mark state={state} />
      <span class={compact ? "for-readers" : undefined}>{WORDS[state]}</span>
    </span>
  );
}

function Mark({ state }: { state: State }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      {state === "succeeded" && <path d="M3.2 8.6l3.1 3.1 6.5-7" />}
      {state === "failed" && <path d="M4 4l8 8M12 4l-8 8" />}
      {state === "canceled" && <path d="M3.5 8h9" />}
      {state === "starting" && <circle cx="8" cy="8" r="5" stroke-dasharray="2 3" />}
      {state === "processing" && <path class="spins" d="M8 2.5a5.5 5.5 0 1 1-5.5 5.5" />}
    </svg>
  );
}
