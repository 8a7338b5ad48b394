/** Room for a table that may be wider than the page: it scrolls, by keys too. */

import type { ComponentChildren } from "preact";

export function Scroll({ label, class: more = "", children }: { label: string; class?: string; children: ComponentChildren }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by keys
    <div class={`table-scroll ${more}`} tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}
