/** JSON as text, with its error and the line where that is. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { JsonError, parse } from "./json";

export function RawText({
  text,
  label,
  id,
  about,
  rows = 4,
  invalid = false,
  onText,
}: {
  text: string;
  label?: string;
  id?: string;
  about?: string;
  rows?: number;
  invalid?: boolean;
  onText: (text: string) => void;
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const now = useSignal(text);
  useEffect(() => {
    now.value = text;
  }, [text, now]);
  const error = useComputed(() => errorOf(now.value));
  const show = (found: JsonError) => {
    const lines = now.value.split("\n");
    const start = lines.slice(0, found.line - 1).join("\n").length + (found.line > 1 ? 1 : 0) + found.column - 1;
    area.current?.focus();
    area.current?.setSelectionRange(start, start + 1);
  };
  return (
    <>
      <textarea
        ref={area}
        id={id}
        class="mono form-json"
        aria-label={label}
        aria-describedby={about || undefined}
        aria-invalid={invalid || error.value !== null}
        rows={Math.max(rows, Math.min(24, now.value.split("\n").length))}
        spellcheck={false}
        autocomplete="off"
        value={now.value}
        onInput={(event) => {
          now.value = event.currentTarget.value;
          onText(now.value);
        }}
      />
      {error.value && (
        <button type="button" class="field-error form-where" onClick={() => error.value && show(error.value)}>
          {error.value.message}
        </button>
      )}
    </>
  );
}

function errorOf(text: string): JsonError | null {
  if (text.trim() === "") return null;
  try {
    parse(text);
    return null;
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
}
