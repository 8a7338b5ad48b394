/** The command that gives someone a role in a namespace. */

const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

export function grantOf(who: string, namespace: string, role: "view" | "edit"): string {
  const account = ACCOUNT.exec(who);
  const short = (account?.[2] ?? who)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  const subject = account ? `--serviceaccount=${account[1]}:${account[2]}` : `--user=${quoted(who)}`;
  const where = quoted(namespace || "NAMESPACE");
  return `kubectl create rolebinding ${short || "someone"}-${role} --clusterrole=${role} ${subject} --namespace=${where}`;
}

/** A word of a shell: names come from identity providers, and may have anything in them. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
