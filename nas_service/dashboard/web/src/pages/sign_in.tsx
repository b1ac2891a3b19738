// Exchanges an API key for a session cookie; the key is kept nowhere in the browser.
import { useState, type FormEvent } from "react";
import { post } from "../api";
import { ProblemNote } from "../problem";
import type { Session } from "../types";

export function SignIn({ onSignedIn }: { onSignedIn: (session: Session) => void }) {
  const [key, setKey] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    post<Session>("/v1/session", { key: key.trim() }).then(onSignedIn, setError);
  };
  return (
    <main className="signin">
      <form className="card" onSubmit={submit}>
        <h1>NAS service</h1>
        <p className="muted">Sign in with an API key. <code>nas up</code> printed one at its first start; <code>nas key create</code> makes more.</p>
        <label>
          API key
          <input type="password" name="key" autoComplete="current-password" required autoFocus value={key} onChange={(event) => setKey(event.target.value)} />
        </label>
        <ProblemNote error={error} />
        <p><button className="primary" disabled={!key.trim()}>Sign in</button></p>
      </form>
    </main>
  );
}
