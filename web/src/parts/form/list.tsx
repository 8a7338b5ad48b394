/** A list: one row for each item, to add, take away and move, by mouse or keyboard. */

import { useRef } from "preact/hooks";
import type { ControlOf } from "./control";
import { ItemControl } from "./items";
import type { Json } from "./json";
import type { Shape } from "./schema";

type Listed = ControlOf & { value: Json | undefined; set: (next: Json | undefined) => void };

const FIRST: Partial<Record<Shape["kind"], Json>> = { boolean: false };

/** Keys of rows, so that a row keeps its control, and what that holds, when it moves. */
function useKeys(length: number): number[] {
  const keys = useRef<number[]>([]);
  const next = useRef(0);
  while (keys.current.length < length) {
    keys.current.push(next.current);
    next.current += 1;
  }
  keys.current.length = length;
  return keys.current;
}

export function ListControl({ state, field, value, set, id, about, namespace }: Listed) {
  const box = useRef<HTMLDivElement>(null);
  const items = Array.isArray(value) ? value : [];
  const keys = useKeys(items.length);
  const item = field.item;
  if (!item) return null;
  const give = (next: Json[]) => set(next.length === 0 && field.default === undefined ? undefined : next);
  const focus = (index: number) => {
    queueMicrotask(() => requestAnimationFrame(() => {
      const row = box.current?.querySelectorAll<HTMLElement>(".form-row")[index];
      (row?.querySelector<HTMLElement>("input, textarea, select") ?? box.current?.querySelector<HTMLElement>(".form-add"))?.focus();
    }));
  };
  const move = (from: number, to: number) => {
    if (to < 0 || to >= items.length) return;
    const next = [...items];
    next.splice(to, 0, ...next.splice(from, 1));
    keys.splice(to, 0, ...keys.splice(from, 1));
    give(next);
    focus(to);
  };
  const remove = (index: number) => {
    keys.splice(index, 1);
    give(items.toSpliced(index, 1));
    focus(Math.min(index, items.length - 2));
  };
  const add = () => {
    give([...items, FIRST[item.kind] ?? item.choices[0] ?? ""]);
    focus(items.length);
  };
  const full = field.maxItems !== null && items.length >= field.maxItems;
  return (
    <div class="form-list" ref={box} aria-describedby={about || undefined}>
      {items.map((each, index) => {
        const name = `${field.title} ${index + 1}`;
        const error = state.errors.value.get(`/${field.name}/${index}`);
        return (
          <div
            key={keys[index]}
            class="form-row"
            role="group"
            aria-label={name}
            onKeyDown={(event) => {
              if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
              event.preventDefault();
              event.stopPropagation();
              move(index, event.key === "ArrowUp" ? index - 1 : index + 1);
            }}
          >
            <div class="form-row-item">
              <ItemControl
                shape={item}
                value={each}
                optional={false}
                id={`${id}-${index}`}
                name={name}
                about={error ? `${id}-${index}-error` : ""}
                invalid={error !== undefined}
                namespace={namespace}
                uploads={state.uploads}
                set={(next) => give(items.with(index, next ?? ""))}
              />
              {error && <p class="field-error" id={`${id}-${index}-error`}>{error}</p>}
            </div>
            <RowButton label={`Move ${name} up`} path="M8 13V3M4 7l4-4 4 4" off={index === 0} act={() => move(index, index - 1)} />
            <RowButton label={`Move ${name} down`} path="M8 3v10M4 9l4 4 4-4" off={index === items.length - 1} act={() => move(index, index + 1)} />
            <RowButton label={`Take away ${name}`} path="M4 4l8 8M12 4l-8 8" off={false} act={() => remove(index)} />
          </div>
        );
      })}
      <button type="button" id={items.length === 0 ? id : undefined} class="button form-add" disabled={full} onClick={add}>
        Add {item.kind === "file" ? "a file" : "an item"}
      </button>
      {items.length > 1 && <span class="field-help">Alt and an arrow key move an item.</span>}
    </div>
  );
}

function RowButton({ label, path, off, act }: { label: string; path: string; off: boolean; act: () => void }) {
  return (
    <button type="button" class="button button-quiet button-icon" aria-label={label} title={label} disabled={off} onClick={act}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line">
        <path d={path} />
      </svg>
    </button>
  );
}
