// The supernet of a search: learning curves of its largest, smallest and random subnets, and how it is trained.
import { useMemo } from "react";
import { useGet } from "../api";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { duration, figure, percent, time } from "../format";
import { Loading, ProblemNote } from "../problem";
import { useTheme } from "../theme";
import type { Curves, Supernet } from "../types";
import { useUrl } from "../url";
import { Facts } from "./config";

export function SupernetView({ supernetId, live }: { supernetId: string | null; live: boolean }) {
  const { colours } = useTheme();
  const { params, set } = useUrl();
  const shown = params.get("curve") === "loss" ? "loss" : "accuracy_top1";
  const supernet = useGet<Supernet>(supernetId && `/v1/supernets/${supernetId}`).data;
  const { data, error } = useGet<Curves>(supernetId && `/v1/supernets/${supernetId}/curves`, { every_ms: live && 3000 });
  const points = data?.points ?? [];
  const names = useMemo(() => [...new Set(points.map((point) => point.subnet))], [points]);
  const format = shown === "loss" ? figure : percent;
  const option = useMemo(() => ({
    grid: { left: 76, right: 20, top: 40, bottom: 50 },
    legend: { top: 0, data: names, textStyle: { color: colours.ink } },
    xAxis: axisStyle(colours, "step", { type: "value", scale: false }),
    yAxis: axisStyle(colours, shown === "loss" ? "loss" : "accuracy", { type: shown === "loss" ? "log" : "value", nameGap: 56, axisLabel: { formatter: format } }),
    tooltip: { ...tooltipStyle(colours), trigger: "axis", valueFormatter: format },
    series: names.map((name, place) => ({ name, type: "line", symbol: ["circle", "rect", "triangle", "diamond"][place % 4], symbolSize: 7, data: points.filter((point) => point.subnet === name).map((point) => [point.step, point[shown]]) })),
  }), [points, names, shown, colours]);
  if (!supernetId) return <div className="card muted">This search has no supernet.</div>;
  if (error) return <ProblemNote error={error} />;
  if (!data) return <Loading what="learning curves" />;
  const step = data.progress as { step?: number; num_steps?: number } | null;
  return (
    <>
      <div className="card">
        {points.length === 0 ? <p className="muted">No point of a curve yet{step?.num_steps ? `: step ${step.step ?? 0} of ${step.num_steps}` : ""}.</p> : (
          <Chart option={option} title={<>Learning curves on the search split <span className={`chip ${data.state}`}>{data.state}</span></>} label={`Supernet ${shown} over training steps for ${names.join(", ")}`}
            actions={<label className="inline">Show<select value={shown} onChange={(event) => set({ curve: event.target.value === "loss" ? "loss" : null })}><option value="accuracy_top1">accuracy</option><option value="loss">loss</option></select></label>}
            table={{ head: ["Step", "Subnet", "Accuracy", "Loss"], rows: () => points.map((point) => [point.step, point.subnet, percent(point.accuracy_top1), figure(point.loss)]) }} />
        )}
      </div>
      {supernet && (
        <div className="card">
          <h2>Training</h2>
          <Facts facts={{ id: supernet.id, state: supernet.state, seed: supernet.seed, training: duration(supernet.train_s), ready: time(supernet.ready_at), ...supernet.recipe }} />
        </div>
      )}
    </>
  );
}
