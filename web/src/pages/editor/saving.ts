/** Saves what was written: a new pipeline, or a new version of one. */

import { ask, send, apiUrl } from "../../api/client";
import { changed, created, type Draft, type Files } from "./draft";
import { untar } from "./tar";

export interface Pipeline {
  owner: string;
  name: string;
  namespace: string;
  description: string;
  visibility: "private" | "public";
  hardware: string | null;
  /** Not told by every gateway. */
  entrypoint?: string | null;
  kind: "pipeline" | "model";
  latest_version: { id: string } | null;
  problem: string | null;
}

function pathOf(owner: string, name: string): string {
  return `/models/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
}

export function pipelineOf(owner: string, name: string, signal?: AbortSignal): Promise<Pipeline> {
  return ask<Pipeline>(pathOf(owner, name), owner, { signal });
}

/** The files of a version. */
export async function filesOf(
  owner: string,
  name: string,
  version: string,
  signal?: AbortSignal,
): Promise<Files> {
  const url = apiUrl(`${pathOf(owner, name)}/versions/${encodeURIComponent(version)}/source`, owner);
  const headers = { Accept: "application/x-tar" };
  const archive = await (await send(url, { headers, signal })).arrayBuffer();
  return untar(new Uint8Array(archive));
}

export function create(draft: Draft): Promise<Pipeline> {
  return ask<Pipeline>("/models", draft.namespace, { method: "POST", json: created(draft) });
}

/** Push a version; its id. */
export async function push(draft: Draft, before: Draft): Promise<string> {
  const { namespace, name } = draft;
  const json = changed(draft, before);
  const answer = await ask<{ id: string }>(`${pathOf(namespace, name)}/versions`, namespace, {
    method: "POST",
    json,
  });
  return answer.id;
}
