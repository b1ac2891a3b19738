// Where the search stands: progress, counts, hypervolume over evaluations, and the front so far.
import { useMemo } from "react";
import { useGet } from "../api";
import { axisStyle, Chart } from "../chart";
import { duration } from "../format";
import type { Front, Search } from "../types";
import { ParetoChart } from "./pareto_chart";

export function Overview({ search, theme, onSelect }: { search: Search; theme: string; onSelect: (trial: string) => void }) {
  const front = useGet<Front>(`/v1/searches/${search.id}/front?stage=search`).data;
  const history = front?.history ?? [];
  const option = useMemo(
    () => ({
      grid: { left: 70, right: 20, top: 20, bottom: 50 },
      xAxis: axisStyle("evaluations", { type: "value" }),
      yAxis: axisStyle("hypervolume", { type: "value", nameGap: 50 }),
      tooltip: { trigger: "axis", renderMode: "richText" },
      series: [{ type: "line", step: "end", showSymbol: false, data: history.map((point) => [point.num_evaluations, point.hypervolume]) }],
    }),
    [history, theme],
  );
  const progress = search.progress;
  return (
    <>
      <div className="card">
        <div className="row">
          <b>{progress?.message ?? search.phase}</b>
          <span className="space" />
          {progress?.eta_s != null && search.state === "running" && <span className="muted">about {duration(progress.eta_s)} left</span>}
        </div>
        <progress max={1} value={progress?.fraction ?? (search.state === "succeeded" ? 1 : 0)} aria-label="progress" />
      </div>
      <div className="tiles">
        <div className="tile">Trials<b>{search.num_told} / {search.spec.budget.trials}</b></div>
        <div className="tile">Rejected by constraints<b>{search.num_rejected}</b></div>
        <div className="tile">Front<b>{search.front_size ?? "–"}</b></div>
        <div className="tile">Hypervolume<b>{search.hypervolume?.toPrecision(5) ?? "–"}</b></div>
      </div>
      <div className="grid">
        <div className="card">
          <h2>Hypervolume</h2>
          <Chart option={option} label={`Hypervolume over ${history.length} points`} small />
        </div>
        <div className="card">
          <h2>Front so far (predicted latency, search split)</h2>
          {front && <ParetoChart members={front.members} others={[]} objectives={search.spec.objectives} x={null} y={null} logX={false} theme={theme} small selected={null} onSelect={onSelect} />}
        </div>
      </div>
    </>
  );
}
