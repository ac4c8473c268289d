import { useState } from "preact/hooks";
import { get, keepCredential } from "../api.js";
import { Check, Field, Notice, Problem, useAction } from "../parts.jsx";

/** A key or a token. It is not sent before the form is, and goes nowhere but to this server. */
export function SignIn({ why, tools, onSignedIn }) {
  const [credential, setCredential] = useState("");
  const [inTab, setInTab] = useState(false);
  const signIn = useAction(async () => {
    if (!credential.trim()) throw new Error("Enter an API key or a token.");
    if (/[^\x21-\x7e]/.test(credential.trim()))
      throw new Error("A key or token has no spaces or other characters.");
    keepCredential(credential, inTab);
    try {
      await get("/console/session");
    } catch (error) {
      keepCredential("");
      throw error;
    }
    onSignedIn();
  });
  const submit = (event) => {
    event.preventDefault();
    signIn.run();
  };
  return (
    <main class="alone">
      <div class="view-head">
        <h1>Enhanced GPTCache</h1>
        {tools}
      </div>
      <form onSubmit={submit} class="card">
        <h2>Sign in</h2>
        {why ? <Notice kind="warn">Signed out: {why}</Notice> : null}
        <Field
          label="API key or token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={credential}
          onValue={setCredential}
          help="A key that begins with egptc_, or a JSON Web Token of the configured issuer."
        />
        <Check label="Stay signed in until this tab is closed" checked={inTab} onValue={setInTab} />
        <Problem error={signIn.error} />
        <button type="submit" class="primary" disabled={signIn.busy}>
          Sign in
        </button>
      </form>
      <p class="muted">
        The first admin key is in the file that the server's log names at its first start. More:{" "}
        <code>enhanced-gptcache keys create --role admin</code>.
      </p>
    </main>
  );
}
