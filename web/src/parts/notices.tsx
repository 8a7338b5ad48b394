/** What went wrong, what is empty, what loads: in words, with what to do. */

import type { ComponentChildren } from "preact";
import { Problem } from "../api/client";

/** An error, with the way out of it. */
export function ErrorNotice({ error, again }: { error: Error; again?: () => void }) {
  const problem = error instanceof Problem ? error : null;
  const more = problem?.errors.filter((each) => each.detail !== problem.detail) ?? [];
  return (
    <div class="notice notice-bad" role="alert">
      <strong>{problem?.title || "Something went wrong"}</strong>
      <p>{error.message}</p>
      {more.length > 0 && (
        <ul>
          {more.map((each) => (
            <li key={each.pointer}>
              {each.pointer && <code>{each.pointer}</code>} {each.detail}
            </li>
          ))}
        </ul>
      )}
      {again && (
        <button type="button" class="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** A place where nothing is yet, with what to do about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Wings />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Something is on its way: bars where it will be. */
export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div class="loading" role="status">
      <span class="for-readers">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} class="loading-bar" />
      ))}
    </div>
  );
}

/** The mark of Mayfly: two pairs of wings and three tails. */
export function Wings({ size = 48 }: { size?: number }) {
  return (
    <svg class="wings" viewBox="0 0 48 48" width={size} height={size} aria-hidden="true">
      <path class="wing" d="M23 21C17 7 7 4 4 9c-2 5 6 13 19 14z" />
      <path class="wing" d="M25 21C31 7 41 4 44 9c2 5-6 13-19 14z" />
      <path class="wing wing-small" d="M23 24c-7-1-13 2-13 6 1 4 9 2 13-5z" />
      <path class="wing wing-small" d="M25 24c7-1 13 2 13 6-1 4-9 2-13-5z" />
      <path class="body" d="M24 15v16M24 31c0 6-3 10-6 13M24 31c0 6 3 10 6 13M24 31v14" />
    </svg>
  );
}
