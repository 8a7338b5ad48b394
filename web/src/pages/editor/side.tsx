/** Beside the editor: the form that the source makes, what it may import, where to begin. */

import { useSignal } from "@preact/signals";
import type { Loaded } from "../../app/load";
import { param } from "../../app/router";
import { ErrorNotice, Loading } from "../../parts/notices";
import { Tabs } from "../../parts/tabs";
import { count } from "../../parts/text";
import type { Checked } from "./checking";
import { type FieldPreview, fieldsOf, outputOf } from "./preview";
import { packagesOf, priceOf, type Runtime, runtimeOf } from "./runtimes";
import { type Template, TEMPLATES } from "./templates";

const FORM = ["form", "Form"] as const;
const PACKAGES = ["packages", "Packages"] as const;
const BEGIN = ["templates", "Templates"] as const;

export function Side({
  isNew,
  checked,
  runtimes,
  hardware,
  readOnly,
  begin,
}: {
  isNew: boolean;
  checked: Checked;
  runtimes: Loaded<Runtime[]>;
  hardware: string;
  readOnly: boolean;
  begin: (template: Template) => void;
}) {
  const tabs = isNew ? [BEGIN, FORM, PACKAGES] : [FORM, PACKAGES, BEGIN];
  const shown = param("side") || tabs[0]?.[0];
  return (
    <aside class="editor-side" aria-label="About this source">
      <Tabs label="Beside the editor" name="side" tabs={tabs} />
      {shown === "form" && <FormPreview checked={checked} />}
      {shown === "packages" && <Packages runtimes={runtimes} hardware={hardware} />}
      {shown === "templates" && <Templates begin={begin} readOnly={readOnly} />}
    </aside>
  );
}

function FormPreview({ checked }: { checked: Checked }) {
  if (!checked.schema) {
    if (checked.state === "checking") return <Loading rows={3} />;
    return <p class="quiet">The form is shown here once the source can be read.</p>;
  }
  const fields = fieldsOf(checked.schema);
  return (
    <div class="stack">
      {checked.state === "wrong" && <p class="quiet small">As it was before the errors.</p>}
      {fields.length === 0 ? (
        <p class="quiet">
          <code>main()</code> has no parameters: there is nothing to fill in.
        </p>
      ) : (
        <ul class="fields" aria-label="Fields of the form">
          {fields.map((field) => (
            <Field key={field.name} field={field} />
          ))}
        </ul>
      )}
      <p>
        <span class="quiet">Gives</span> <strong>{outputOf(checked.schema)}</strong>
      </p>
    </div>
  );
}

function Field({ field }: { field: FieldPreview }) {
  return (
    <li>
      <div class="row">
        <strong class="mono">{field.name}</strong>
        <span class="badge">{field.kind}</span>
        {field.required && <span class="small quiet">required</span>}
      </div>
      {field.description && <p>{field.description}</p>}
      {field.choices.length > 0 && <p class="small quiet">{field.choices.join(" · ")}</p>}
      {field.bounds && <p class="small quiet">{field.bounds}</p>}
      {field.usual && (
        <p class="small quiet">
          default <code>{field.usual}</code>
        </p>
      )}
    </li>
  );
}

function Packages({ runtimes, hardware }: { runtimes: Loaded<Runtime[]>; hardware: string }) {
  const search = useSignal("");
  const runtime = runtimeOf(runtimes.value ?? [], hardware);
  if (runtimes.error && !runtime) return <ErrorNotice error={runtimes.error} />;
  if (!runtime) return runtimes.loading ? <Loading rows={4} /> : <p class="quiet">There is no runtime.</p>;
  const found = packagesOf(runtime, search.value);
  return (
    <div class="stack">
      <p>
        Runtime <strong>{runtime.name}</strong>: Python {runtime.python}
        {runtime.cpu && `, ${runtime.cpu} CPU`}
        {runtime.memory && `, ${runtime.memory} memory`}. <span class="quiet">{priceOf(runtime)}.</span>
      </p>
      <label class="field">
        <span>Find a package</span>
        <input
          type="search"
          placeholder="numpy"
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      </label>
      {runtime.packages.length === 0 ? (
        <p class="quiet">This runtime does not list its packages.</p>
      ) : (
        <>
          <p class="small quiet" role="status">
            {count(found.length, "package")}. No others can be added.
          </p>
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by keys */}
          <ul class="packages" tabIndex={0} aria-label={`Packages of ${runtime.name}`}>
            {found.map(([name, version]) => (
              <li key={name}>
                <code>{name}</code> <span class="quiet number cut" title={version}>{version}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function Templates({ begin, readOnly }: { begin: (template: Template) => void; readOnly: boolean }) {
  return (
    <div class="stack">
      <p class="quiet">
        Each is a whole pipeline. It replaces what is in <code>main.py</code>; Undo brings that back.
      </p>
      <ul class="templates">
        {TEMPLATES.map((each) => (
          <li key={each.title}>
            <button type="button" class="template" disabled={readOnly} onClick={() => begin(each)}>
              <strong>{each.title}</strong>
              <span class="quiet small">{each.words}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
