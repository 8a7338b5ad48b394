/** The call that the form would make, as code. */

import { BASE } from "../../api/base";
import { param, setQuery } from "../../app/router";
import { Copy } from "../../parts/copy";
import { withoutSecrets } from "../../parts/form/secrets";
import { chosen, placeOf, useForm } from "./form-of";
import { latestOf, type Shown } from "./model";
import { type Call, curl, javascript, kubectl, python } from "./samples";

const LANGUAGES = [
  ["python", "Python", python, 'pip install "replicate<2"'],
  ["javascript", "JavaScript", javascript, "npm install replicate"],
  ["curl", "curl", curl, ""],
  ["kubectl", "kubectl", kubectl, ""],
] as const;

export function Api({ shown }: { shown: Shown }) {
  const call = useCall(shown);
  const wanted = param("lang") || "python";
  const [key, , make, install] = LANGUAGES.find(([each]) => each === wanted) ?? LANGUAGES[0];
  const code = make(call);
  return (
    <div class="stack">
      <p class="quiet">The call that the form says now. Change the input under Run, and this changes too.</p>
      <div class="row" role="group" aria-label="Language">
        {LANGUAGES.map(([each, words]) => (
          <button key={each} type="button" class="button" aria-pressed={each === key} onClick={() => setQuery({ lang: each })}>
            {words}
          </button>
        ))}
      </div>
      {code === null ? (
        <p class="notice">kubectl makes PipelineRuns; a Model is called over the API, or by a pipeline.</p>
      ) : (
        <div class="sample">
          {install && <pre class="command">{install}</pre>}
          <pre class="command sample-code">{code}</pre>
          <Copy text={code} label="Copy the code" />
        </div>
      )}
      {key === "kubectl" && code !== null ? (
        <p class="quiet small">A secret is given by reference: <code>{'{"secretKeyRef": {"name": …, "key": …}}'}</code></p>
      ) : (
        <div class="stack">
          <p class="quiet small">
            <code>MAYFLY_TOKEN</code> is a token of the cluster, for example:
          </p>
          <pre class="command">{`export MAYFLY_TOKEN=$(kubectl create token ACCOUNT --namespace ${call.namespace} --audience mayfly --duration 8h)`}</pre>
        </div>
      )}
    </div>
  );
}

function useCall(shown: Shown): Call {
  const form = useForm();
  const { model } = shown;
  const { id, fields } = chosen(form, shown);
  const where = placeOf(model);
  const input = withoutSecrets(form.state.input.value, fields ?? [], (name) => `YOUR ${name}`);
  return {
    base: `${location.origin}${BASE}/ns/${encodeURIComponent(where)}`,
    owner: model.owner,
    name: model.name,
    home: model.namespace,
    namespace: where,
    version: id === latestOf(shown) ? null : id,
    input,
    isModel: model.kind === "model",
  };
}
