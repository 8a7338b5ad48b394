/** A right that is missing: which one, and the command with which somebody grants it. */

import { me } from "../app/session";
import type { Me } from "../api/types";
import { Copy } from "./copy";

const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** The command that gives someone a role in a namespace. */
export function grantOf(who: Pick<Me, "name">, namespace: string, role = "edit"): string {
  const account = ACCOUNT.exec(who.name);
  const short = (account?.[2] ?? who.name).toLowerCase().replaceAll(/[^a-z0-9.-]+/g, "-").replaceAll(/^[-.]+|[-.]+$/g, "");
  const subject = account ? `--serviceaccount=${account[1]}:${account[2]}` : `--user=${quoted(who.name)}`;
  const where = namespace || "NAMESPACE";
  return `kubectl create rolebinding ${short || "me"}-${role} --clusterrole=${role} ${subject} --namespace=${where}`;
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const WORDS = {
  publish: "write pipelines",
  read: "see runs",
} as const;

export function NoRight({ right, namespace }: { right: keyof typeof WORDS; namespace: string }) {
  const who = me.value;
  if (!who) return null;
  const command = grantOf(who, namespace, right === "read" ? "view" : "edit");
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
