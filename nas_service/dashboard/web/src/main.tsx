// Starts the single-page app: routes, session, theme, keys, and the query cache all pages share.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, useEffect, useState, type ComponentType } from "react";
import { createRoot } from "react-dom/client";
import { Link, Route, Router, Switch, useLocation } from "wouter";
import { call, get } from "./api";
import { useLostAt } from "./connection";
import { SearchList } from "./pages/search_list";
import { SignIn } from "./pages/sign_in";
import { Loading } from "./problem";
import { ShortcutHelp, useShortcut } from "./shortcuts";
import "./style.css";
import { ThemeProvider, useTheme } from "./theme";
import type { Session } from "./types";

// Pages with charts are loaded when they are opened: the list and the sign-in paint without them.
const searchPage = () => import("./pages/search").then((page) => page.SearchPage);
const newSearch = () => import("./pages/new_search").then((page) => page.NewSearch);
const compare = () => import("./pages/compare").then((page) => page.Compare);

// The service is often on this very machine: without internet it answers all the same.
const queries = new QueryClient({ defaultOptions: { queries: { networkMode: "always" } } });

// What the opened view needs is asked for at once, not one after the other.
const session = call<Session>("GET", "/v1/session");
const opened = /^\/ui\/searches\/(srch_\w+)$/.exec(window.location.pathname)?.[1];
if (opened) {
  void searchPage();
  const params = new URLSearchParams(window.location.search);
  const paths = [`/v1/searches/${opened}`];
  if (["overview", "front", "choices"].includes(params.get("tab") ?? "overview")) paths.push(`/v1/searches/${opened}/front?stage=${params.get("stage") ?? "search"}`);
  for (const path of paths) void queries.prefetchQuery({ queryKey: [path], queryFn: () => get(path) });
}

// React's own lazy components would show their fallback for 300 ms at least.
function Later<P extends object>({ load, ...props }: { load: () => Promise<ComponentType<P>> } & P) {
  const [Page, setPage] = useState<ComponentType<P> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => void load().then((page) => setPage(() => page), () => setFailed(true)), [load]);
  if (failed) return <main><div className="problem" role="alert">This page could not be loaded. <button onClick={() => window.location.reload()}>Reload</button></div></main>;
  return Page ? <Page {...(props as unknown as P)} /> : <main><Loading what="the page" /></main>;
}

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
  const [holder, setHolder] = useState<Session | null | undefined>(undefined);
  useEffect(() => {
    session.then(setHolder, () => setHolder(null));
    const signedOut = () => setHolder(null);
    window.addEventListener("signed-out", signedOut);
    return () => window.removeEventListener("signed-out", signedOut);
  }, []);

  if (holder === undefined) return null;
  if (holder === null) return <><Unreachable /><SignIn onSignedIn={setHolder} /></>;
  return (
    <Router base="/ui">
      <Head session={holder} onSignOut={() => void call("DELETE", "/v1/session").finally(() => setHolder(null))} />
      <Unreachable />
      <ShortcutHelp />
      <Switch>
        <Route path="/" component={SearchList} />
        <Route path="/new"><Later load={newSearch} /></Route>
        <Route path="/compare"><Later load={compare} /></Route>
        <Route path="/searches/:id">{({ id }) => <Later key={id} load={searchPage} id={id} />}</Route>
        <Route>
          <main><h1>Nothing here</h1><Link href="/">All searches</Link></main>
        </Route>
      </Switch>
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
