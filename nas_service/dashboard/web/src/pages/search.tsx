// One search: head with state and actions, tabs whose choice lives in the URL, and a live stream behind all of them.
import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { post, useGet } from "../api";
import { useEvents } from "../events";
import { between, learnUnits } from "../format";
import { isFinished } from "../metrics";
import { Moment } from "../moment";
import { Loading, ProblemNote, WarningNotes } from "../problem";
import { ArchitectureView } from "../search/architecture";
import { ChoicesView } from "../search/choices";
import { ConfigView } from "../search/config";
import { EventsView } from "../search/events";
import { FrontView } from "../search/front";
import { Overview } from "../search/overview";
import { SupernetView } from "../search/supernet";
import { TimelineView } from "../search/timeline";
import { TrialsView } from "../search/trials";
import { useShortcut } from "../shortcuts";
import type { LookupTable, Search } from "../types";
import { useUrl } from "../url";

const TABS = ["overview", "front", "choices", "trials", "architecture", "supernet", "timeline", "events", "config"] as const;

function TabKey({ place, name, go }: { place: number; name: string; go: () => void }) {
  useShortcut(String(place + 1), `search: ${name}`, go);
  return null;
}

export function SearchPage({ id }: { id: string }) {
  const { data: search, error } = useGet<Search>(`/v1/searches/${id}`, { every_ms: 5000 });
  const finished = search !== undefined && isFinished(search);
  const { events, milestones, stream } = useEvents(id, finished);
  const { params, set } = useUrl();
  const [failure, setFailure] = useState<Error | null>(null);
  const tab = params.get("tab") ?? "overview";
  const table = useGet<LookupTable>(search?.table_id ? `/v1/tables/${search.table_id}` : null, { fixed: true });
  const chosen = useRef<HTMLAnchorElement>(null);
  // On a narrow screen the tabs scroll.
  useEffect(() => void chosen.current?.scrollIntoView({ block: "nearest", inline: "center" }), [tab, search === undefined]);
  // Without the units of its table (which may be gone) a search is shown all the same.
  if (table.data) learnUnits(table.data.manifest.metrics as { name: string; unit: string }[]);
  if (!search || table.isLoading) return <main>{error ? <><ProblemNote error={error} /><Link href="/">All searches</Link></> : <Loading what="the search" />}</main>;
  const act = (action: string) => post(`/v1/searches/${id}/${action}`).then(() => setFailure(null), setFailure);
  const open = (trial: string) => set({ trial, tab: "architecture" });
  const tabs = TABS.filter((name) => name !== "supernet" || search.supernet_id);
  const live = !finished;
  return (
    <>
      {stream === "connecting" && events.length > 0 && !finished && <div className="stale" role="status">Live updates are interrupted; trying again. Figures are refreshed every few seconds.</div>}
      {tabs.map((name, place) => <TabKey key={name} place={place} name={name} go={() => set({ tab: name })} />)}
      <main>
        <div className="row">
          <h1>{search.name}</h1>
          <span className={`chip ${search.state}`} data-testid="state">{search.state}</span>
          <span className="muted" role="status">{live && stream === "live" ? "live" : ""}</span>
          <span className="space" />
          <Link className="button" href={`/compare?ids=${id}`}>Compare</Link>
          {search.state === "running" && <button onClick={() => act("pause")}>Pause</button>}
          {(search.state === "paused" || search.state === "pausing") && <button onClick={() => act("resume")}>Resume</button>}
          {!finished && <button onClick={() => window.confirm("Cancel this search? Its trials stay.") && act("cancel")}>Cancel</button>}
        </div>
        <div className="muted">
          <span className="id">{search.id} · </span>created <Moment iso={search.created_at} />
          {search.finished_at && search.started_at && <> · took {between(search.started_at, search.finished_at)}</>}
        </div>
        <ProblemNote error={failure ?? error} />
        {search.error && <div className="problem" role="alert">{String(search.error.reason)}: {String(search.error.message)}</div>}
        <WarningNotes warnings={search.warnings ?? []} />
        <nav className="tabs" aria-label="views">
          {tabs.map((name) => {
            const target = new URLSearchParams(params);
            target.set("tab", name);
            return <Link key={name} ref={tab === name ? chosen : undefined} href={`/searches/${id}?${target}`} aria-current={tab === name ? "page" : undefined}>{name}</Link>;
          })}
        </nav>
        {tab === "overview" && <Overview search={search} live={live} milestones={milestones} onOpen={open} />}
        {tab === "front" && <FrontView search={search} live={live} />}
        {tab === "choices" && <ChoicesView search={search} live={live} />}
        {tab === "trials" && <TrialsView search={search} />}
        {tab === "architecture" && <ArchitectureView search={search} />}
        {tab === "supernet" && <SupernetView search={search} live={live} />}
        {tab === "timeline" && <TimelineView search={search} live={live} />}
        {tab === "events" && <EventsView events={events} />}
        {tab === "config" && <ConfigView search={search} />}
      </main>
    </>
  );
}
