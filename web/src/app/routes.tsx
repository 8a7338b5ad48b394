/** Which page a path shows; each page is a chunk of its own, loaded when it is opened. */

import type { ComponentType } from "preact";

export type PageOf = ComponentType<{ parts: Record<string, string> }>;

interface Route {
  /** Segments of the path; one that begins with ":" matches anything, and names it. */
  pattern: string;
  load: () => Promise<{ default: PageOf }>;
}

const ROUTES: readonly Route[] = [
  { pattern: "", load: () => import("../pages/runs/runs") },
  { pattern: "runs", load: () => import("../pages/runs/runs") },
  { pattern: "predictions/:id", load: () => import("../pages/prediction/prediction") },
  { pattern: "models", load: () => import("../pages/catalog/catalog") },
  { pattern: "models/:owner/:name", load: () => import("../pages/model/model") },
  { pattern: "models/:owner/:name/edit", load: () => import("../pages/editor/editor") },
  { pattern: "new", load: () => import("../pages/editor/editor") },
  { pattern: "usage", load: () => import("../pages/usage/usage") },
  { pattern: "pools", load: () => import("../pages/pools/pools") },
  { pattern: "me", load: () => import("../pages/me/me") },
];

/** The route of a path, with the parts that it names; null if there is no such page. */
export function routeOf(path: string): { route: Route; parts: Record<string, string> } | null {
  const given = path.split("/");
  for (const route of ROUTES) {
    const wanted = route.pattern.split("/");
    if (wanted.length !== given.length) continue;
    const parts: Record<string, string> = {};
    const fits = wanted.every((each, index) => {
      const found = given[index] ?? "";
      if (!each.startsWith(":")) return each === found;
      parts[each.slice(1)] = decodeURIComponent(found);
      return found !== "";
    });
    if (fits) return { route, parts };
  }
  return null;
}
