/** A right that is missing: which one, and the command with which somebody grants it. */

import { me } from "../app/session";
import { Copy } from "./copy";
import { grantOf } from "./grant";

const WORDS = {
  publish: "write pipelines",
  read: "see runs",
} as const;

export function NoRight({ right, namespace }: { right: keyof typeof WORDS; namespace: string }) {
  const who = me.value;
  if (!who) return null;
  const command = grantOf(who.name, namespace, right === "read" ? "view" : "edit");
  return (
    <div class="notice notice-warn">
      <strong>
        You may not {WORDS[right]} in {namespace ? `the namespace ${namespace}` : "any namespace"}.
      </strong>
      <p>Whoever administers it can allow it:</p>
      <pre class="command">{command}</pre>
      <Copy text={command} label="Copy the command" />
    </div>
  );
}
