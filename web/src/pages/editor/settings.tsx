/** What a pipeline has beside its source: name, place, description, who may run it, hardware. */

import { rightsIn, me } from "../../app/session";
import type { Loaded } from "../../app/load";
import { type Draft, entrypointProblem, nameProblem, USUAL_ENTRYPOINT } from "./draft";
import { type Runtime, titleOf } from "./runtimes";

/** Namespaces in which one may publish. */
export function publishable(): string[] {
  return (me.value?.namespaces ?? []).filter((each) => each.rights.publish).map((each) => each.name);
}

interface Given {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  readOnly: boolean;
}

export function Settings({
  draft,
  set,
  readOnly,
  isNew,
  tried,
  runtimes,
}: Given & { isNew: boolean; tried: boolean; runtimes: Loaded<Runtime[]> }) {
  return (
    <div class="card editor-settings">
      {isNew && <Place draft={draft} set={set} readOnly={readOnly} tried={tried} />}
      <label class="field editor-wide">
        <span>Description</span>
        <input
          maxLength={4096}
          placeholder="What it does, in one sentence"
          value={draft.description}
          readOnly={readOnly}
          onInput={(event) => set({ description: event.currentTarget.value })}
        />
      </label>
      <label class="field">
        <span>Who may run it</span>
        <select
          value={draft.visibility}
          disabled={readOnly}
          onChange={(event) =>
            set({ visibility: event.currentTarget.value === "public" ? "public" : "private" })
          }
        >
          <option value="private">Private: this namespace</option>
          <option value="public">Public: every namespace</option>
        </select>
      </label>
      <Hardware draft={draft} set={set} readOnly={readOnly} runtimes={runtimes.value ?? []} />
      <Entrypoint draft={draft} set={set} readOnly={readOnly} isNew={isNew} />
    </div>
  );
}

function Place({ draft, set, readOnly, tried }: Given & { tried: boolean }) {
  const places = publishable();
  const problem = tried || draft.name ? nameProblem(draft.name) : "";
  return (
    <>
      <label class="field editor-place">
        <span>Namespace</span>
        <select
          value={draft.namespace}
          disabled={readOnly}
          onChange={(event) => set({ namespace: event.currentTarget.value })}
        >
          {!rightsIn(draft.namespace).publish && <option value={draft.namespace}>{draft.namespace}</option>}
          {places.map((name) => (
            <option key={name} value={name}>{name}</option>
          ))}
        </select>
      </label>
      <div class="field editor-place">
        <label class="label" htmlFor="pipeline-name">Name</label>
        <input
          id="pipeline-name"
          class="mono"
          spellcheck={false}
          autocapitalize="none"
          autocomplete="off"
          placeholder="shorten"
          value={draft.name}
          readOnly={readOnly}
          aria-invalid={problem !== ""}
          aria-describedby={problem ? "name-problem" : undefined}
          onInput={(event) => set({ name: event.currentTarget.value.trim() })}
        />
        {problem && <span id="name-problem" class="field-error">{problem}</span>}
      </div>
    </>
  );
}

function Hardware({ draft, set, readOnly, runtimes }: Given & { runtimes: readonly Runtime[] }) {
  const known = runtimes.some((each) => each.name === draft.hardware);
  return (
    <label class="field">
      <span>Hardware</span>
      <select
        value={draft.hardware}
        disabled={readOnly}
        onChange={(event) => set({ hardware: event.currentTarget.value })}
      >
        {draft.hardware === "" && <option value="">The default</option>}
        {draft.hardware !== "" && !known && <option value={draft.hardware}>{draft.hardware}</option>}
        {runtimes.map((each) => (
          <option key={each.name} value={each.name}>{titleOf(each)}</option>
        ))}
      </select>
    </label>
  );
}

function Entrypoint({ draft, set, readOnly, isNew }: Given & { isNew: boolean }) {
  const problem = entrypointProblem(draft.entrypoint, draft.files);
  return (
    <div class="field">
      <label class="label" htmlFor="pipeline-entrypoint">Entrypoint</label>
      <input
        id="pipeline-entrypoint"
        class="mono"
        spellcheck={false}
        autocapitalize="none"
        autocomplete="off"
        placeholder={isNew ? USUAL_ENTRYPOINT : "as it is now"}
        value={draft.entrypoint}
        readOnly={readOnly}
        aria-invalid={problem !== ""}
        aria-describedby={problem ? "entrypoint-problem" : undefined}
        onInput={(event) => set({ entrypoint: event.currentTarget.value.trim() })}
      />
      {problem && <span id="entrypoint-problem" class="field-error">{problem}</span>}
      {!isNew && draft.entrypoint === "" && (
        <span class="field-help">Left empty, it stays. It is checked here as {USUAL_ENTRYPOINT}.</span>
      )}
    </div>
  );
}
