// Starts the single-page app: routes, session, theme, keys, and the query cache all pages share.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, StrictMode, Suspense, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Link, Route, Router, Switch, useLocation } from "wouter";
import { call } from "./api";
import { useLostAt } from "./connection";
import { SearchList } from "./pages/search_list";
import { SignIn } from "./pages/sign_in";
import { Loading } from "./problem";
import { ShortcutHelp, useShortcut } from "./shortcuts";
import "./style.css";
import { ThemeProvider, useTheme } from "./theme";
import type { Session } from "./types";

// Pages with charts are loaded when they are opened: the list and the sign-in paint without them.
const SearchPage = lazy(() => import("./pages/search").then((page) => ({ default: page.SearchPage })));
const NewSearch = lazy(() => import("./pages/new_search").then((page) => ({ default: page.NewSearch })));
const Compare = lazy(() => import("./pages/compare").then((page) => ({ default: page.Compare })));

// The service is often on this very machine: without internet it answers all the same.
const queries = new QueryClient({ defaultOptions: { queries: { networkMode: "always" } } });

function Unreachable() {
  const lostAt = useLostAt();
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (lostAt === null) return;
    // A page without running questions would not notice the return.
    const timer = window.setInterval(() => {
      setNow(Date.now());
      void call("GET", "/v1/session").then(() => queries.invalidateQueries(), () => undefined);
    }, 2000);
    return () => window.clearInterval(timer);
  }, [lostAt]);
  if (lostAt === null) return null;
  return <div className="stale" role="status">The service has not answered for {Math.max(0, Math.round((now - lostAt) / 1000))} s; trying again. What is shown is the last that was read.</div>;
}

function Head({ session, onSignOut }: { session: Session; onSignOut: () => void }) {
  const { choice, choose } = useTheme();
  const [, go] = useLocation();
  useShortcut("g s", "all searches", () => go("/"));
  useShortcut("g n", "new search", () => go("/new"));
  return (
    <header className="top">
      <strong>NAS service</strong>
      <nav aria-label="pages"><Link href="/">Searches</Link><Link href="/new">New search</Link></nav>
      <span className="space" />
      <span className="muted"><kbd>?</kbd> keys</span>
      <label className="inline">
        Theme
        <select value={choice} onChange={(event) => choose(event.target.value)}>
          <option>system</option>
          <option>light</option>
          <option>dark</option>
        </select>
      </label>
      <span className="muted">{session.name}</span>
      <button onClick={onSignOut}>Sign out</button>
    </header>
  );
}

function App() {
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  useEffect(() => {
    call<Session>("GET", "/v1/session").then(setSession, () => setSession(null));
    const signedOut = () => setSession(null);
    window.addEventListener("signed-out", signedOut);
    return () => window.removeEventListener("signed-out", signedOut);
  }, []);

  if (session === undefined) return null;
  if (session === null) return <><Unreachable /><SignIn onSignedIn={setSession} /></>;
  return (
    <Router base="/ui">
      <Head session={session} onSignOut={() => void call("DELETE", "/v1/session").finally(() => setSession(null))} />
      <Unreachable />
      <ShortcutHelp />
      <Suspense fallback={<main><Loading what="the page" /></main>}>
        <Switch>
          <Route path="/" component={SearchList} />
          <Route path="/new" component={NewSearch} />
          <Route path="/compare" component={Compare} />
          <Route path="/searches/:id">{({ id }) => <SearchPage key={id} id={id} />}</Route>
          <Route>
            <main><h1>Nothing here</h1><Link href="/">All searches</Link></main>
          </Route>
        </Switch>
      </Suspense>
    </Router>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ThemeProvider>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </ThemeProvider>
  </StrictMode>,
);
