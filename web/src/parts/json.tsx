/** A JSON value as a tree; its raw text is always at hand. */

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import "./output/output.css";
import { Copy } from "./copy";
import { isFileLink } from "./output/links";
import { FileLink } from "./output/media";
import { count } from "./text";

/** Nodes that are made at once; more only when asked for. */
const CAP = 2000;
/** Children of one node that are made at once. */
const CHILDREN = 200;
/** A longer text is cut. */
const LONG = 500;

/** A value with its tree, its text, and buttons to keep it. */
export function JsonView({ value, name = "value" }: { value: unknown; name?: string }) {
  const raw = useSignal(false);
  return (
    <div class="output">
      <div class="output-bar">
        <button type="button" class="button button-quiet" aria-pressed={raw.value} onClick={() => { raw.value = !raw.value; }}>
          {raw.value ? "Show as a tree" : "Show as text"}
        </button>
        <Copy text={() => textOf(value)} />
        <Keep text={() => textOf(value)} name={`${name}.json`} type="application/json" />
      </div>
      {raw.value ? <pre class="command json-raw"><LongText text={textOf(value)} cap={100_000} /></pre> : <Json value={value} />}
    </div>
  );
}

function textOf(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}

/** A value as a tree. */
export function Json({ value }: { value: unknown }) {
  const budget = useRef<Budget>({ left: CAP });
  return (
    <div class="json-tree">
      <Node value={value} budget={budget.current} open />
    </div>
  );
}

/** How many nodes may still be made without being asked for one by one. */
interface Budget {
  left: number;
}

function Node({ name, value, budget, open = false }: { name?: string; value: unknown; budget: Budget; open?: boolean }) {
  if (value === null || typeof value !== "object") {
    return <div class="json-leaf"><Name name={name} /><Leaf value={value} /></div>;
  }
  return <Branch name={name} value={value} budget={budget} open={open} />;
}

/** An object or a list: its children are made when it is opened. */
function Branch({ name, value, budget, open }: { name?: string; value: object; budget: Budget; open: boolean }) {
  const shown = useSignal(0);
  const isList = Array.isArray(value);
  const names = useMemo(() => (isList ? null : Object.keys(value)), [value, isList]);
  const size = isList ? value.length : (names?.length ?? 0);
  const words = isList ? `[${count(size, "item")}]` : `{${count(size, "member")}}`;
  const grow = (by: number) => {
    const more = Math.max(0, Math.min(by, size - shown.value));
    budget.left -= more;
    shown.value += more;
  };
  useLayoutEffect(() => {
    if (open) grow(Math.min(CHILDREN, budget.left));
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- only of the outermost node, once
  }, []);
  if (size === 0) return <div class="json-leaf"><Name name={name} />{isList ? "[]" : "{}"}</div>;
  const visible = Math.min(size, shown.value);
  return (
    <details
      open={open}
      onToggle={(event) => {
        if (event.currentTarget.open && shown.value === 0) grow(Math.min(CHILDREN, budget.left));
      }}
    >
      <summary><Name name={name} /><span class="quiet">{words}</span></summary>
      {Array.from({ length: visible }, (_, index) => {
        const key = names?.[index] ?? String(index);
        return <Node key={key} name={key} value={(value as Record<string, unknown>)[key]} budget={budget} />;
      })}
      {visible < size && (
        <button type="button" class="button button-quiet" onClick={() => grow(CHILDREN)}>
          Show more ({(size - visible).toLocaleString("en")} left)
        </button>
      )}
    </details>
  );
}

function Name({ name }: { name?: string }) {
  return name === undefined ? null : <span class="json-name">{name}: </span>;
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") {
    if (isFileLink(value)) return <FileLink link={value} />;
    return <span class="json-string">"<LongText text={value} cap={LONG} />"</span>;
  }
  return <span class={typeof value === "number" ? "json-number" : "json-word"}>{String(value)}</span>;
}

/** A text that is cut if it is long, until all of it is asked for. */
export function LongText({ text, cap }: { text: string; cap: number }) {
  const all = useSignal(false);
  if (all.value || text.length <= cap) return <>{text}</>;
  return (
    <>
      {text.slice(0, cap)}…{" "}
      <button type="button" class="button button-quiet" onClick={() => { all.value = true; }}>
        Show all ({text.length.toLocaleString("en")} characters)
      </button>
    </>
  );
}

/** A button that saves text as a file. */
export function Keep({ text, name, type = "text/plain" }: { text: () => string; name: string; type?: string }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text()], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return <button type="button" class="button button-quiet" onClick={save}>Download</button>;
}
