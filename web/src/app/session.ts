/** Who is signed in, and where they act. */

import { computed, signal } from "@preact/signals";
import { onSignedOut, send } from "../api/client";
import { BASE } from "../api/base";
import type { Me, Rights } from "../api/types";
import { param } from "./router";

/** Who is signed in; null: nobody; undefined: not known yet. */
export const me = signal<Me | null | undefined>(undefined);

/** Why nobody could be asked who is signed in; "" if the API answered. */
export const trouble = signal("");

onSignedOut(() => {
  me.value = null;
});

/** The namespace that the pages show: that of the URL, otherwise one's home; "*" means all. */
export const namespace = computed(() => {
  const chosen = param("ns");
  if (chosen) return chosen;
  return me.value?.home ?? (me.value?.all_namespaces ? "*" : "");
});

const NONE: Rights = {
  read: false,
  run: false,
  cancel: false,
  publish: false,
  models: false,
  correct: false,
};

/** What one may do in a namespace. */
export function rightsIn(name: string): Rights {
  return me.value?.namespaces.find((each) => each.name === name)?.rights ?? NONE;
}

/** Ask who is signed in. */
export async function refresh(): Promise<void> {
  try {
    // Asked here and not of /v1/me: that nobody is signed in is no error of the page.
    me.value = (await (await send(`${BASE}/ui/session`)).json()) as Me | null;
    trouble.value = "";
  } catch (error) {
    if (me.value !== null) trouble.value = (error as Error).message;
  }
}

/** Sign in with a token, or with the code of a one-time link. Throws a Problem. */
export async function signIn(by: { token: string } | { code: string }): Promise<void> {
  const response = await send(`${BASE}/ui/session`, { method: "POST", json: by });
  me.value = (await response.json()) as Me;
  trouble.value = "";
}

/** Sign out: the cookie is deleted. Throws a Problem. */
export async function signOut(): Promise<void> {
  await send(`${BASE}/ui/session`, { method: "DELETE" });
  me.value = null;
}
