/** The time now, ticking only while somebody looks. */

import { signal } from "@preact/signals";

/** The reader's clock, in milliseconds; changes every second. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});
