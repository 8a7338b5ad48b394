/**
 * The tab's stream of news. A tab has one only: browsers open six connections to an origin, for all
 * tabs together. While nobody looks, it is closed; then it goes on where it was.
 */

import { apiUrl, ask } from "./client";
import type { Summary } from "./types";

export interface Wanted {
  namespace: string;
  /** New and changed predictions of the namespace. */
  list?: boolean;
  /** The id of a prediction to follow. */
  of?: string;
}

export interface Heard {
  rows?: (rows: Summary[]) => void;
  prediction?: (now: Summary) => void;
  log?: (text: string) => void;
  output?: (index: number, items: unknown[]) => void;
  tree?: (rows: Summary[]) => void;
  /** The followed prediction has ended, and everything was told. */
  end?: () => void;
  /** Whether news arrive; false while the connection is being made again. */
  live?: (yes: boolean) => void;
}

const RETRY_MS = 2000;
const LONGEST_MS = 60_000;

/** Listen until the returned function is called. What is told twice by the API is told once here. */
export function listen(wanted: Wanted, heard: Heard): () => void {
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let position = "";
  let pause = RETRY_MS;
  let over = false;

  const close = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };

  const open = () => {
    close();
    if (over || document.hidden) return;
    const query = { list: wanted.list, of: wanted.of, from: position };
    source = new EventSource(apiUrl("/events", wanted.namespace, query));
    source.addEventListener("open", () => {
      pause = RETRY_MS;
      heard.live?.(true);
    });
    source.addEventListener("error", () => {
      heard.live?.(false);
      // After a cut the browser would come back itself; an answer that says no closes the source.
      const refused = source?.readyState === EventSource.CLOSED;
      close();
      retry = setTimeout(open, pause);
      if (!refused) return;
      pause = Math.min(2 * pause, LONGEST_MS);
      // The source doesn't tell why. If nobody is signed in any more, this does.
      ask("/me").catch(() => undefined);
    });
    on(source, "rows", (rows: Summary[]) => heard.rows?.(rows));
    on(source, "prediction", (now: Summary) => heard.prediction?.(now));
    on(source, "log", (piece: { text: string }) => heard.log?.(piece.text));
    on(source, "output", (piece: { index: number; items: unknown[] }) =>
      heard.output?.(piece.index, piece.items),
    );
    on(source, "tree", (rows: Summary[]) => heard.tree?.(rows));
    on(source, "end", () => {
      heard.end?.();
      if (!wanted.list) {
        over = true;
        close();
      }
    });
  };

  const on = <T>(from: EventSource, kind: string, tell: (data: T) => void) => {
    from.addEventListener(kind, (event: MessageEvent<string>) => {
      if (event.lastEventId) position = event.lastEventId;
      tell(JSON.parse(event.data) as T);
    });
  };

  document.addEventListener("visibilitychange", open);
  open();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", open);
    close();
  };
}
