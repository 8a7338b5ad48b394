/** A button that copies text. */

import { useSignal } from "@preact/signals";

const TOLD_MS = 1500;

export function Copy({ text, label = "Copy" }: { text: string | (() => string); label?: string }) {
  const done = useSignal("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      done.value = "Copied";
    } catch {
      done.value = "The browser refused";
    }
    setTimeout(() => {
      done.value = "";
    }, TOLD_MS);
  };
  return (
    <button type="button" class="button button-quiet" onClick={copy}>
      <span aria-live="polite">{done.value || label}</span>
    </button>
  );
}
