/** Loads what a page shows, and says what became of that. */

import { type Signal, useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";

/** What is loaded: `value` stays while it is loaded again, so that a page doesn't flicker. */
export interface Loaded<T> {
  value: T | undefined;
  error: Error | null;
  loading: boolean;
}

/** Load something, and again whenever `keys` change; an older answer never replaces a newer one. */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
): { state: Signal<Loaded<T>>; again: () => void } {
  const state = useSignal<Loaded<T>>({ value: undefined, error: null, loading: true });
  const running = useRef<AbortController | null>(null);
  const again = useCallback(() => {
    running.current?.abort();
    const mine = new AbortController();
    running.current = mine;
    state.value = { ...state.peek(), loading: true };
    load(mine.signal).then(
      (value) => {
        if (!mine.signal.aborted) state.value = { value, error: null, loading: false };
      },
      (error: Error) => {
        if (!mine.signal.aborted) state.value = { ...state.peek(), error, loading: false };
      },
    );
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `load` is what the keys say
  }, keys);
  useEffect(() => {
    again();
    return () => running.current?.abort();
  }, [again]);
  return { state, again };
}
