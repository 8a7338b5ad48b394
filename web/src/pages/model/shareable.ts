/** An input as a link may carry it. */

import { type JsonObject, write } from "../../parts/form/json";
import type { Field } from "../../parts/form/schema";

/** Longer inputs are not in the URL: servers and chats cut long ones. */
const URL_BYTES = 2048;

/** The input as the URL has it; null if it must not or need not be there. */
export function shareable(input: JsonObject, fields: Field[] | null): string | null {
  // Where the schema is not known, anything may be a secret.
  if (input.size === 0 || fields === null) return null;
  const secret = new Set(fields.filter((each) => each.kind === "secret" || each.item?.kind === "secret").map((each) => each.name));
  for (const name of secret) if (input.has(name)) return null;
  const text = write(input);
  if (text.includes('"data:') || encodeURIComponent(text).length > URL_BYTES) return null;
  return text;
}
