// Starts the single-page app: routes, session, theme, and the query cache all pages share.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Link, Route, Router, Switch } from "wouter";
import { call } from "./api";
import { NewSearch } from "./pages/new_search";
import { SearchPage } from "./pages/search";
import { SearchList } from "./pages/search_list";
import { SignIn } from "./pages/sign_in";
import "./style.css";

const queries = new QueryClient();

function useTheme(): [string, (theme: string) => void] {
  const [theme, setTheme] = useState(localStorage.getItem("theme") ?? "system");
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  return [theme, setTheme];
}

function App() {
  const [session, setSession] = useState<{ name: string } | null | undefined>(undefined);
  const [theme, setTheme] = useTheme();
  useEffect(() => {
    call<{ name: string }>("GET", "/v1/session").then(setSession, () => setSession(null));
    const signedOut = () => setSession(null);
    window.addEventListener("signed-out", signedOut);
    return () => window.removeEventListener("signed-out", signedOut);
  }, []);

  if (session === undefined) return null;
  if (session === null) return <SignIn onSignedIn={setSession} />;
  return (
    <Router base="/ui">
      <header className="top">
        <strong>NAS service</strong>
        <Link href="/">Searches</Link>
        <Link href="/new">New search</Link>
        <span className="space" />
        <label className="inline">
          Theme
          <select value={theme} onChange={(event) => setTheme(event.target.value)}>
            <option>system</option>
            <option>light</option>
            <option>dark</option>
          </select>
        </label>
        <span className="muted">{session.name}</span>
        <button onClick={() => void call("DELETE", "/v1/session").finally(() => setSession(null))}>Sign out</button>
      </header>
      <Switch>
        <Route path="/" component={SearchList} />
        <Route path="/new" component={NewSearch} />
        <Route path="/searches/:id">{({ id }) => <SearchPage key={id} id={id} theme={theme} />}</Route>
        <Route>
          <main><h1>Nothing here</h1><Link href="/">All searches</Link></main>
        </Route>
      </Switch>
    </Router>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
