/** What may be wider than the page: it scrolls by itself, with the keyboard too. */

import type { ComponentChildren } from "preact";

export function Wide({ label, children, class: more = "" }: { label: string; children: ComponentChildren; class?: string }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- without it the keyboard can't scroll it
    <div class={`table-scroll ${more}`} role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
