// Learning curves of the supernet: the largest, the smallest and a random subnet on the search split.
import { useMemo } from "react";
import { useGet } from "../api";
import { axisStyle, Chart, cssColour } from "../chart";
import { percent } from "../format";
import type { CurvePoint } from "../types";

export function SupernetView({ supernetId, theme }: { supernetId: string | null; theme: string }) {
  const data = useGet<{ points: CurvePoint[] }>(supernetId && `/v1/supernets/${supernetId}/curves`, { every_ms: 3000 }).data;
  const points = data?.points ?? [];
  const names = useMemo(() => [...new Set(points.map((point) => point.subnet))], [points]);
  const option = useMemo(
    () => ({
      grid: { left: 70, right: 20, top: 40, bottom: 50 },
      legend: { data: names, textStyle: { color: cssColour("--ink") } },
      xAxis: axisStyle("step", { type: "value" }),
      yAxis: axisStyle("accuracy_top1", { type: "value", nameGap: 50, axisLabel: { color: cssColour("--muted"), formatter: (v: number) => percent(v) } }),
      tooltip: { trigger: "axis", renderMode: "richText" },
      series: names.map((name) => ({ name, type: "line", symbolSize: 6, data: points.filter((point) => point.subnet === name).map((point) => [point.step, point.accuracy_top1]) })),
    }),
    [points, names, theme],
  );
  if (!supernetId) return <div className="card">This search has no supernet yet.</div>;
  return <div className="card"><h2>Supernet <code>{supernetId}</code></h2><Chart option={option} label="Supernet accuracy over training steps" /></div>;
}
