/** Light or dark: as the system says, unless somebody chose; kept in this browser. */

import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "mayfly-theme";

export const theme = signal<Theme>("system");

/** Show the pages in the theme that was chosen before. */
export function showTheme(): void {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // A browser may refuse to keep anything: then it is the system's theme.
  }
  apply(kept === "light" || kept === "dark" ? kept : "system");
}

/** Choose a theme, and keep the choice. */
export function chooseTheme(chosen: Theme): void {
  apply(chosen);
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // It is shown anyway, until the page is loaded again.
  }
}

function apply(chosen: Theme): void {
  theme.value = chosen;
  const { classList } = document.documentElement;
  classList.toggle("theme-light", chosen === "light");
  classList.toggle("theme-dark", chosen === "dark");
}
