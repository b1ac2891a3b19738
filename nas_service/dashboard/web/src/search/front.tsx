// The Pareto front: choose stage and axes, move constraint sliders, click a point; the table is the chart's twin.
import { useState } from "react";
import { useSearchParams } from "wouter";
import { useGet } from "../api";
import { metric, milliseconds, percent } from "../format";
import type { Front, Page, Search, Trial } from "../types";
import { ExportButton } from "./export_button";
import { METRICS, ParetoChart, valueOf } from "./pareto_chart";

export function FrontView({ search, theme, selected, onSelect }: { search: Search; theme: string; selected: string | null; onSelect: (trial: string) => void }) {
  const [params, setParams] = useSearchParams();
  const set = (name: string, value: string) => setParams((old) => { const fresh = new URLSearchParams(old); fresh.set(name, value); return fresh; });
  const stage = params.get("stage") ?? (search.state === "succeeded" ? "final" : "search");
  const front = useGet<Front>(`/v1/searches/${search.id}/front?stage=${stage}`).data;
  const others = useGet<Page<Trial>>(`/v1/searches/${search.id}/trials?stage=search&page_size=1000`).data;
  const axes = search.spec.objectives.filter((objective) => objective.optimize);
  const y = params.get("y") ?? axes[0]?.metric ?? "accuracy_top1";
  const x = params.get("x") ?? axes[1]?.metric ?? "macs";
  const [limit, setLimit] = useState<number | null>(null);
  const members = front?.members ?? [];
  const values = members.map((trial) => valueOf(trial, x)).filter((value) => value != null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const kept = limit === null ? members : members.filter((trial) => (valueOf(trial, x) ?? Infinity) <= limit);
  const final = stage === "final";
  return (
    <div className="card">
      <div className="row">
        <label className="inline">Stage
          <select value={stage} onChange={(event) => set("stage", event.target.value)}>
            <option value="search">search (predicted)</option>
            <option value="final">final (measured)</option>
          </select>
        </label>
        <label className="inline">x<select value={x} onChange={(event) => { set("x", event.target.value); setLimit(null); }}>{METRICS.map((name) => <option key={name}>{name}</option>)}</select></label>
        <label className="inline">y<select value={y} onChange={(event) => set("y", event.target.value)}>{METRICS.map((name) => <option key={name}>{name}</option>)}</select></label>
        <label className="inline"><input type="checkbox" checked={params.get("log") === "1"} onChange={(event) => set("log", event.target.checked ? "1" : "0")} />log x</label>
        {values.length > 1 && (
          <label className="inline">{x} at most {metric(x, limit ?? high)}
            <input type="range" aria-label={`upper bound of ${x}`} min={low} max={high} step={(high - low) / 200} value={limit ?? high} onChange={(event) => setLimit(Number(event.target.value))} />
          </label>
        )}
        <span className="space" />
        <span className="muted">{kept.length} of {members.length} points{front?.hypervolume != null && <> · hypervolume {front.hypervolume.toPrecision(5)}</>}</span>
      </div>
      <ParetoChart members={kept} others={final ? [] : (others?.items ?? [])} objectives={search.spec.objectives} x={x} y={y} logX={params.get("log") === "1"} theme={theme} selected={selected} onSelect={onSelect} />
      <div className="scroll">
        <table>
          <thead><tr><th>Trial</th><th className="number">Accuracy ({final ? "select" : "search"})</th>{final && <th className="number">Accuracy (test)</th>}<th className="number">MACs</th><th className="number">Params</th><th className="number">Latency</th><th>p10 – p90</th><th /></tr></thead>
          <tbody>
            {kept.map((trial) => {
              const test = trial.metrics.test as { accuracy_top1?: number } | undefined;
              return (
                <tr key={trial.id} className={trial.id === selected ? "selected" : ""} onClick={() => onSelect(trial.id)}>
                  <td>{trial.number}</td>
                  <td className="number">{percent(trial.accuracy_top1)}</td>
                  {final && <td className="number">{percent(test?.accuracy_top1)}</td>}
                  <td className="number">{metric("macs", trial.macs)}</td>
                  <td className="number">{metric("params", trial.params)}</td>
                  <td className="number">{milliseconds(trial.latency_ms)}</td>
                  <td>{trial.latency_p10_ms != null && <>{milliseconds(trial.latency_p10_ms)} – {milliseconds(trial.latency_p90_ms)}</>}</td>
                  <td>{final && <ExportButton trialId={trial.id} />}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </div>
  );
}
