/** Tabs whose choice is in the URL, so that a link leads to what was seen. */

import { href, param, path } from "../app/router";

/** Links to parts of a page: the first one needs no parameter. */
export function Tabs({
  label,
  name = "tab",
  tabs,
}: {
  label: string;
  name?: string;
  tabs: readonly (readonly [string, string])[];
}) {
  const chosen = param(name) || tabs[0]?.[0];
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(([key, words], index) => (
        <a
          key={key}
          href={href(path.value, { [name]: index === 0 ? null : key })}
          aria-current={chosen === key ? "page" : undefined}
        >
          {words}
        </a>
      ))}
    </nav>
  );
}
