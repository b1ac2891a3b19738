// One search: head with state and actions, tabs whose choice lives in the URL, and a live stream behind all of them.
import { useState } from "react";
import { Link, useSearchParams } from "wouter";
import { post, useEvents, useGet } from "../api";
import { duration, time } from "../format";
import { ProblemNote } from "../problem";
import { ArchitectureView } from "../search/architecture";
import { ConfigView } from "../search/config";
import { EventsView } from "../search/events";
import { FrontView } from "../search/front";
import { Overview } from "../search/overview";
import { SupernetView } from "../search/supernet";
import { TrialsView } from "../search/trials";
import type { Search } from "../types";

const TABS = ["overview", "front", "trials", "architecture", "supernet", "events", "config"] as const;
const FINISHED = ["succeeded", "failed", "cancelled"];

export function SearchPage({ id, theme }: { id: string; theme: string }) {
  const { data: search, error } = useGet<Search>(`/v1/searches/${id}`, { every_ms: 5000 });
  const { events, connected } = useEvents(id);
  const [params, setParams] = useSearchParams();
  const [failure, setFailure] = useState<Error | null>(null);
  const tab = params.get("tab") ?? "overview";
  const selected = params.get("trial");
  const select = (trial: string, next = tab) =>
    setParams((old) => { const fresh = new URLSearchParams(old); fresh.set("trial", trial); fresh.set("tab", next); return fresh; });
  if (!search) return <main><ProblemNote error={error} /></main>;
  const act = (action: string) => post(`/v1/searches/${id}/${action}`).then(() => setFailure(null), setFailure);
  const finished = FINISHED.includes(search.state);
  return (
    <>
      {!connected && !finished && <div className="stale" role="status">Live updates are interrupted; trying again. Figures are refreshed every few seconds.</div>}
      <main>
        <div className="row">
          <h1>{search.name}</h1>
          <span className={`chip ${search.state}`} data-testid="state">{search.state}</span>
          <span className="muted">{search.phase}</span>
          <span className="space" />
          {search.state === "running" && <button onClick={() => act("pause")}>Pause</button>}
          {(search.state === "paused" || search.state === "pausing") && <button onClick={() => act("resume")}>Resume</button>}
          {!finished && <button onClick={() => window.confirm("Cancel this search? Its trials stay.") && act("cancel")}>Cancel</button>}
        </div>
        <div className="muted">
          {search.id} · created {time(search.created_at)}
          {search.finished_at && search.started_at && <> · took {duration((Date.parse(search.finished_at) - Date.parse(search.started_at)) / 1000)}</>}
        </div>
        <ProblemNote error={failure ?? error} />
        {search.error && <div className="problem" role="alert">{search.error.reason}: {search.error.message}</div>}
        <nav className="tabs" aria-label="views">
          {TABS.map((name) => {
            const target = new URLSearchParams(params);
            target.set("tab", name);
            return <Link key={name} href={`/searches/${id}?${target}`} aria-current={tab === name ? "page" : undefined}>{name}</Link>;
          })}
        </nav>
        {tab === "overview" && <Overview search={search} theme={theme} onSelect={(trial) => select(trial, "architecture")} />}
        {tab === "front" && <FrontView search={search} theme={theme} selected={selected} onSelect={(trial) => select(trial)} />}
        {tab === "trials" && <TrialsView search={search} selected={selected} onSelect={(trial) => select(trial, "architecture")} />}
        {tab === "architecture" && <ArchitectureView trialId={selected} />}
        {tab === "supernet" && <SupernetView supernetId={search.supernet_id} theme={theme} />}
        {tab === "events" && <EventsView events={events} />}
        {tab === "config" && <ConfigView search={search} />}
      </main>
    </>
  );
}
