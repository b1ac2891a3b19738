// Every trial: sorted and filtered by the server, loaded page by page, only visible rows in the document.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { useSearchParams } from "wouter";
import { get } from "../api";
import { metric, percent } from "../format";
import { ProblemNote } from "../problem";
import type { Page, Search, Trial } from "../types";

const COLUMNS: [string, string][] = [["number", "Trial"], ["accuracy_top1", "Accuracy"], ["loss", "Loss"], ["macs", "MACs"], ["params", "Params"], ["latency_ms", "Latency"]];
const ROW_PX = 34;

export function TrialsView({ search, selected, onSelect }: { search: Search; selected: string | null; onSelect: (trial: string) => void }) {
  const [params, setParams] = useSearchParams();
  const sort = params.get("sort") ?? "number";
  const state = params.get("state") ?? "";
  const set = (name: string, value: string) => setParams((old) => { const fresh = new URLSearchParams(old); fresh.set(name, value); return fresh; });
  const path = `/v1/searches/${search.id}/trials?stage=search&page_size=200&sort=${sort}${state && `&state=${state}`}`;
  const pages = useInfiniteQuery({
    queryKey: [path],
    queryFn: ({ pageParam }) => get<Page<Trial>>(path + (pageParam ? `&page_token=${encodeURIComponent(pageParam)}` : "")),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
  });
  const trials = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const host = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: trials.length, getScrollElement: () => host.current, estimateSize: () => ROW_PX, overscan: 12 });
  const visible = rows.getVirtualItems();
  const last = visible[visible.length - 1]?.index ?? 0;
  useEffect(() => {
    if (last >= trials.length - 20 && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
  }, [last, trials.length, pages]);
  return (
    <div className="card">
      <div className="row">
        <label className="inline">State
          <select value={state} onChange={(event) => set("state", event.target.value)}>
            <option value="">all</option>
            {["succeeded", "pending", "infeasible", "failed", "quarantined"].map((name) => <option key={name}>{name}</option>)}
          </select>
        </label>
        <span className="muted">{trials.length} loaded of {search.num_asked}</span>
      </div>
      <ProblemNote error={pages.error} />
      <div className="scroll" ref={host}>
        <table>
          <thead>
            <tr>
              {COLUMNS.map(([name, title]) => (
                <th key={name} className="number">
                  <button onClick={() => set("sort", sort === name ? `-${name}` : name)}>{title}{sort === name ? " ▲" : sort === `-${name}` ? " ▼" : ""}</button>
                </th>
              ))}
              <th>State</th><th>Architecture</th><th>Origin</th>
            </tr>
          </thead>
          <tbody>
            {visible.length > 0 && <tr style={{ height: visible[0]!.start }} aria-hidden />}
            {visible.map((item) => {
              const trial = trials[item.index]!;
              return (
                <tr key={trial.id} className={trial.id === selected ? "selected" : ""} onClick={() => onSelect(trial.id)}>
                  <td className="number">{trial.number}</td>
                  <td className="number">{percent(trial.accuracy_top1)}</td>
                  <td className="number">{metric("loss", trial.loss)}</td>
                  <td className="number">{metric("macs", trial.macs)}</td>
                  <td className="number">{metric("params", trial.params)}</td>
                  <td className="number">{metric("latency_ms", trial.latency_ms)}</td>
                  <td><span className={`chip ${trial.state}`}>{trial.state}</span></td>
                  <td><code>{trial.architecture_hash.slice(0, 16)}</code></td>
                  <td>{trial.reused_from ? "reused" : "evaluated"}</td>
                </tr>
              );
            })}
            <tr style={{ height: rows.getTotalSize() - (visible[visible.length - 1]?.end ?? 0) }} aria-hidden />
          </tbody>
        </table>
      </div>
    </div>
  );
}
