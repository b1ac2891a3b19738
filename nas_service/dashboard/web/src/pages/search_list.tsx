// All searches, newest first, with what one wants to know at a glance; tick several to compare them.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { get } from "../api";
import { between, figure, title } from "../format";
import { axesOf } from "../metrics";
import { Moment } from "../moment";
import { Loading, ProblemNote } from "../problem";
import { useRowKeys, useShortcut } from "../shortcuts";
import type { Page, Search } from "../types";
import { useUrl } from "../url";

const STATES = ["queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"];
const ACTIVE = ["queued", "running", "pausing"];

export function SearchList() {
  const { params, set } = useUrl();
  const [, go] = useLocation();
  const [ticked, setTicked] = useState<string[]>([]);
  const [row, setRow] = useState<string | null>(null);
  const filter = useRef<HTMLInputElement>(null);
  const [name, state] = [params.get("name") ?? "", params.get("state") ?? ""];
  const path = `/v1/searches?page_size=50${name && `&name=${encodeURIComponent(name)}`}${state && `&state=${state}`}`;
  const pages = useInfiniteQuery({
    queryKey: [path],
    queryFn: ({ pageParam }) => get<Page<Search>>(path + (pageParam ? `&page_token=${encodeURIComponent(pageParam)}` : "")),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    refetchInterval: 3000,
    placeholderData: (previous) => previous,
  });
  const searches = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const compare = () => ticked.length > 0 && go(`/compare?ids=${ticked.join(",")}`);
  useShortcut("/", "filter by name", () => filter.current?.focus());
  useShortcut("x", "tick the row for comparison", () => row && toggle(row));
  useShortcut("c", "compare the ticked searches", compare);
  useShortcut("Enter", "open the row", () => row && go(`/searches/${row}`));
  useRowKeys(searches.map((search) => search.id), row, setRow);
  const toggle = (id: string) => setTicked((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old, id]));
  const filtered = name !== "" || state !== "";
  return (
    <main>
      <div className="row">
        <h1>Searches</h1>
        <span className="space" />
        <input ref={filter} type="search" aria-label="filter by name" placeholder="name contains …" value={name} onChange={(event) => set({ name: event.target.value || null }, true)} />
        <select aria-label="filter by state" value={state} onChange={(event) => set({ state: event.target.value || null })}><option value="">all states</option>{STATES.map((one) => <option key={one}>{one}</option>)}</select>
        <button disabled={ticked.length === 0} onClick={compare}>Compare{ticked.length > 0 && ` ${ticked.length}`}</button>
        <Link className="button primary" href="/new">New search</Link>
      </div>
      <ProblemNote error={pages.error} />
      {pages.isPending && <Loading what="searches" />}
      {pages.isSuccess && searches.length === 0 && !filtered && (
        <div className="card">
          <p>No search yet. <Link href="/new">Start one here</Link>, or from a shell:</p>
          <pre>nas search create --space digits-mobile --dataset digits --trials 200</pre>
        </div>
      )}
      {pages.isSuccess && searches.length === 0 && filtered && <div className="card muted">No search matches this filter.</div>}
      {searches.length > 0 && (
        <div className="card scroll page" tabIndex={0}>
          <table>
            <thead>
              <tr><th><span className="hidden">Compare</span></th><th>Name</th><th>State</th><th>Progress</th><th>Objectives</th><th>Strategy</th><th className="number">Seed</th><th className="number">Trials</th><th className="number">Front</th><th className="number">Hypervolume</th><th>Created</th></tr>
            </thead>
            <tbody>
              {searches.map((search) => (
                <tr key={search.id} className={search.id === row ? "selected" : ""}>
                  <td><input type="checkbox" aria-label={`compare ${search.name}`} checked={ticked.includes(search.id)} onChange={() => toggle(search.id)} /></td>
                  <td className="name"><Link href={`/searches/${search.id}`}>{search.name}</Link>{search.warnings && search.warnings.length > 0 && <span className="warn" title={search.warnings.map((warning) => warning.message).join("\n")}> ⚠ <span className="hidden">has a warning</span></span>}</td>
                  <td><span className={`chip ${search.state}`}>{search.state}</span></td>
                  <td>{search.progress?.waiting_for ? <span className="muted">waiting for {search.progress.waiting_for.device}</span> : ACTIVE.includes(search.state) ? <><progress max={1} value={search.progress?.fraction ?? undefined} aria-label={search.phase} /><small className="range">{search.phase}</small></> : <span className="muted">{search.started_at && search.finished_at ? `took ${between(search.started_at, search.finished_at)}` : search.phase}</span>}</td>
                  <td className="wrap">{axesOf(search).map((one) => title(one.metric)).join(", ")}</td>
                  <td>{search.spec.strategy.name}</td>
                  <td className="number">{search.spec.seed}</td>
                  <td className="number">{search.num_told} / {search.spec.budget.trials}</td>
                  <td className="number">{search.front_size ?? "–"}</td>
                  <td className="number">{figure(search.hypervolume)}</td>
                  <td><Moment iso={search.created_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
          {pages.hasNextPage && <p><button onClick={() => void pages.fetchNextPage()} disabled={pages.isFetchingNextPage}>More</button></p>}
        </div>
      )}
    </main>
  );
}
