// Every trial: sorted and filtered by the server, loaded page by page, only visible rows in the document.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { get } from "../api";
import { csv, download } from "../download";
import { columnFormat, percent, title } from "../format";
import { isFinished, metricsOf, valueOf } from "../metrics";
import { ProblemNote } from "../problem";
import { useRowKeys, useShortcut } from "../shortcuts";
import type { Page, Search, SpaceDetail, Trial, TrialColumns } from "../types";
import { useUrl } from "../url";
import { useSelection } from "./selection";

const STATES = ["succeeded", "pending", "running", "infeasible", "failed", "quarantined", "cancelled"];
const ROW_PX = 34;

export function TrialsView({ search }: { search: Search }) {
  const { params, set } = useUrl();
  const { selected, pins, select, togglePin } = useSelection();
  const sort = params.get("sort") ?? "number";
  const state = params.get("state") ?? "";
  const filter = useRef<HTMLSelectElement>(null);
  const path = `/v1/searches/${search.id}/trials?stage=search&page_size=200&sort=${encodeURIComponent(sort)}${state && `&state=${state}`}`;
  const pages = useInfiniteQuery({
    queryKey: [path],
    queryFn: ({ pageParam }) => get<Page<Trial>>(path + (pageParam ? `&page_token=${encodeURIComponent(pageParam)}` : "")),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
  });
  const trials = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const names = metricsOf(search, trials);
  const formats = new Map(names.map((name) => [name, columnFormat(name, trials.map((trial) => valueOf(trial, name)))]));
  const cheap = trials.some((trial) => trial.fidelity < 1);
  const host = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: trials.length, getScrollElement: () => host.current, estimateSize: () => ROW_PX, overscan: 12 });
  const visible = rows.getVirtualItems();
  const last = visible[visible.length - 1]?.index ?? 0;
  useEffect(() => {
    if (last >= trials.length - 20 && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
  }, [last, trials.length, pages]);
  const open = (trial: string) => set({ trial, tab: "architecture" });
  useRowKeys(trials.map((trial) => trial.id), selected, (id) => {
    select(id);
    rows.scrollToIndex(trials.findIndex((trial) => trial.id === id));
  });
  useShortcut("/", "filter the trials", () => filter.current?.focus());
  const counts = search.trial_counts?.search;
  const total = state ? (counts?.[state] ?? 0) : search.num_asked;
  const [saving, setSaving] = useState(false);
  const saveAll = async () => {
    const space = await get<SpaceDetail>(`/v1/search-spaces/${search.space_id}`);
    const head = ["trial_id", "number", "state", ...names, ...space.genes.map((gene) => gene.name)];
    const lines: unknown[][] = [];
    let first: number | null = 0;
    while (first !== null) {
      const part: TrialColumns = await get<TrialColumns>(`/v1/searches/${search.id}/trial-columns?fields=id,state,choices,${names.join(",")}&first=${first}`);
      part.number.forEach((number, place) => lines.push([
        part.id?.[place], number, part.state?.[place], ...names.map((name) => part.metrics[name]?.[place]),
        ...space.genes.map((gene) => gene.options[part.choices?.[gene.name]?.[place] ?? -1]),
      ]));
      first = part.next_first;
    }
    download(`${search.id}.csv`, "text/csv", csv(head, lines));
  };
  return (
    <div className="card">
      <div className="row">
        <label className="inline">State
          <select ref={filter} value={state} onChange={(event) => set({ state: event.target.value || null })}>
            <option value="">all</option>
            {STATES.map((name) => <option key={name} value={name}>{name}{counts?.[name] ? ` (${counts[name]})` : ""}</option>)}
          </select>
        </label>
        <span className="muted" role="status">{trials.length} loaded of {total}{pages.isFetching ? " …" : ""}</span>
        <span className="space" />
        <button className="quiet" disabled={saving} onClick={() => { setSaving(true); void saveAll().finally(() => setSaving(false)); }}>{saving ? "Reading …" : "CSV of all trials"}</button>
      </div>
      <ProblemNote error={pages.error} />
      {pages.isSuccess && trials.length === 0 && <p className="muted">{state ? `No trial is ${state}.` : isFinished(search) ? "This search ended before its first trial." : `No trial yet${search.supernet_id ? ": the strategy is asked once the supernet is ready" : ""}.`}</p>}
      <div className="scroll rows" ref={host} tabIndex={0} aria-label="trials">
        <table>
          <thead className="sticky">
            <tr>
              <th>Pin</th>
              {["number", ...names].map((name) => (
                <th key={name} className="number" aria-sort={sort === name ? "ascending" : sort === `-${name}` ? "descending" : undefined}>
                  <button onClick={() => set({ sort: sort === name ? `-${name}` : name })}>{name === "number" ? "Trial" : title(name)}{sort === name ? " ▲" : sort === `-${name}` ? " ▼" : ""}</button>
                </th>
              ))}
              {cheap && <th className="number">Fidelity</th>}
              <th>State</th><th>Architecture</th><th>Origin</th>
            </tr>
          </thead>
          <tbody>
            {visible.length > 0 && <tr style={{ height: visible[0]!.start }} aria-hidden />}
            {visible.map((item) => {
              const trial = trials[item.index]!;
              return (
                <tr key={trial.id} className={`pick ${trial.id === selected ? "selected" : ""}`} onClick={() => open(trial.id)}>
                  <td><input type="checkbox" aria-label={`pin trial ${trial.number}`} checked={pins.includes(trial.id)} onClick={(event) => event.stopPropagation()} onChange={() => togglePin(trial.id)} /></td>
                  <td className="number"><button className="link" onClick={(event) => { event.stopPropagation(); open(trial.id); }}>{trial.number}</button></td>
                  {names.map((name) => <td key={name} className="number">{formats.get(name)!(valueOf(trial, name))}</td>)}
                  {cheap && <td className="number">{percent(trial.fidelity)}</td>}
                  <td><span className={`chip ${trial.state}`} title={String(trial.error?.message ?? "")}>{trial.state}</span></td>
                  <td><code>{trial.architecture_hash.slice(0, 16)}</code></td>
                  <td>{trial.reused_from ? "reused" : "evaluated"}</td>
                </tr>
              );
            })}
            <tr style={{ height: Math.max(0, rows.getTotalSize() - (visible[visible.length - 1]?.end ?? 0)) }} aria-hidden />
          </tbody>
        </table>
      </div>
    </div>
  );
}
