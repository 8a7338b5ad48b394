/** Signing in: with a token of the cluster, or by a one-time link that the command line printed. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Copy } from "../parts/copy";
import { ErrorNotice, Wings } from "../parts/notices";
import { go, href, param, path } from "./router";
import { me, signIn } from "./session";

const COMMAND = "kubectl create token ACCOUNT --namespace NAMESPACE --audience mayfly --duration 8h";

export function SignIn() {
  const token = useSignal("");
  const busy = useSignal(false);
  const error = useSignal<Error | null>(null);
  const enter = async (by: { token: string } | { code: string }) => {
    busy.value = true;
    error.value = null;
    try {
      await signIn(by);
      if (path.value === "sign-in") go(param("to") || href("runs"), { replace: true });
    } catch (problem) {
      error.value = problem as Error;
    } finally {
      busy.value = false;
    }
  };
  useEffect(() => {
    document.title = "Sign in · Mayfly";
    const code = location.hash.slice(1);
    if (path.value !== "sign-in") return;
    if (code) {
      // The code is used up by its first use: it has no place in the history.
      history.replaceState(null, "", location.pathname + location.search);
      void enter({ code });
    } else if (me.value) go(href("runs"), { replace: true });
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- once, when the page opens
  }, []);
  return (
    <main class="alone" id="page">
      <div class="sign-in">
        <Wings size={64} />
        <h1>Mayfly</h1>
        <p class="quiet">Sign in with a token of this cluster. What it may do here, Kubernetes says.</p>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void enter({ token: token.value.trim() });
          }}
        >
          <label class="field">
            <span>Token</span>
            <input
              type="password"
              name="token"
              autocomplete="off"
              spellcheck={false}
              required
              value={token.value}
              onInput={(event) => {
                token.value = event.currentTarget.value;
              }}
            />
          </label>
          <button type="submit" class="button button-main" disabled={busy.value}>
            {busy.value ? "Signing in…" : "Sign in"}
          </button>
        </form>
        {error.value && <ErrorNotice error={error.value} />}
        <details open={error.value !== null}>
          <summary>Where do I get a token?</summary>
          <p>With kubectl, of a ServiceAccount that may use Mayfly:</p>
          <pre class="command">{COMMAND}</pre>
          <Copy text={COMMAND} label="Copy the command" />
          <p>
            Or run <code>mayfly open</code>, which prints a link that signs you in once.
          </p>
        </details>
      </div>
    </main>
  );
}
