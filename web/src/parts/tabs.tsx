/** Tabs whose choice is in the URL, so that a link leads to what was seen. */

import { href, param, path } from "../app/router";

/** Links to parts of a page: the first one needs no parameter. `keep`: parameters that stay. */
export function Tabs({
  label,
  name = "tab",
  tabs,
  keep = [],
}: {
  label: string;
  name?: string;
  tabs: readonly (readonly [string, string])[];
  keep?: readonly string[];
}) {
  const chosen = param(name) || tabs[0]?.[0];
  const kept = Object.fromEntries(keep.map((each) => [each, param(each)]));
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(([key, words], index) => (
        <a
          key={key}
          href={href(path.value, { ...kept, [name]: index === 0 ? null : key })}
          aria-current={chosen === key ? "page" : undefined}
        >
          {words}
        </a>
      ))}
    </nav>
  );
}
