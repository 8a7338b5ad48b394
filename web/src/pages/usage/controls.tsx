/** Which time is shown, by what, and which number: all of it in the URL. */

import { useSignal } from "@preact/signals";
import { param, setQuery } from "../../app/router";
import { customProblem, lastOf, type Range, RANGES } from "./range";
import type { By, Shown } from "./report";

export function Controls({ by, shown, range }: { by: By; shown: Shown; range: Range }) {
  const custom = param("range") === "custom";
  return (
    <div class="usage-controls">
      <label class="field">
        <span>Time</span>
        <select
          value={param("range")}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            const days = chosen === "custom" ? { from: range.from, to: lastOf(range) } : { from: null, to: null };
            setQuery({ range: chosen, ...days }, { replace: false });
          }}
        >
          {RANGES.map(([key, words]) => (
            <option key={key} value={key}>{words}</option>
          ))}
        </select>
      </label>
      {custom && <Days />}
      <Choice
        label="Grouped by"
        name="by"
        chosen={by}
        options={[
          ["day", "Day alone"],
          ["pipeline", "Pipeline"],
          ["model", "Model"],
          ["namespace", "Namespace"],
        ]}
      />
      <Choice
        label="Chart shows"
        name="show"
        chosen={shown}
        options={[
          ["cost", "Cost"],
          ["predictions", "Predictions"],
          ["time", "Active time"],
        ]}
      />
    </div>
  );
}

function Choice({
  label,
  name,
  chosen,
  options,
}: {
  label: string;
  name: string;
  chosen: string;
  options: readonly (readonly [string, string])[];
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={chosen}
        onChange={(event) => {
          const { value } = event.currentTarget;
          setQuery({ [name]: value === options[0]?.[0] ? null : value }, { replace: false });
        }}
      >
        {options.map(([key, words]) => (
          <option key={key} value={key}>{words}</option>
        ))}
      </select>
    </label>
  );
}

function Days() {
  const first = useSignal(param("from"));
  const last = useSignal(param("to"));
  const problem = customProblem(first.value, last.value);
  const changed = () => {
    if (!customProblem(first.value, last.value)) setQuery({ from: first.value, to: last.value });
  };
  return (
    <>
      <label class="field">
        <span>First day</span>
        <input
          type="date"
          value={first.value}
          aria-invalid={problem !== ""}
          onInput={(event) => {
            first.value = event.currentTarget.value;
            changed();
          }}
        />
      </label>
      <div class="field">
        <label class="label" htmlFor="last-day">Last day</label>
        <input
          id="last-day"
          type="date"
          value={last.value}
          aria-invalid={problem !== ""}
          aria-describedby={problem ? "days-problem" : undefined}
          onInput={(event) => {
            last.value = event.currentTarget.value;
            changed();
          }}
        />
        {problem && <span id="days-problem" class="field-error" role="alert">{problem}</span>}
      </div>
    </>
  );
}
