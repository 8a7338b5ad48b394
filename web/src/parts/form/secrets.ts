/** Inputs as they may be shown: without the secrets that they hold. */

import type { Json, JsonObject } from "./json";
import type { Field } from "./schema";

/** The input with each secret text replaced by what `stand` says; references to Secrets stay. */
export function withoutSecrets(input: JsonObject, fields: readonly Field[], stand: (name: string) => Json): JsonObject {
  const shown = new Map(input);
  for (const field of fields) {
    const value = shown.get(field.name);
    if (field.kind === "secret" && typeof value === "string") shown.set(field.name, stand(field.name));
    if (field.item?.kind === "secret" && Array.isArray(value)) {
      shown.set(field.name, value.map((each) => (typeof each === "string" ? stand(field.name) : each)));
    }
  }
  return shown;
}
