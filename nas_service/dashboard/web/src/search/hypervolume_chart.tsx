// Hypervolume over evaluations; divided by the true front's where the evaluator knows it.
import { useMemo } from "react";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { figure, shortFigure } from "../format";
import { useTheme } from "../theme";
import type { Front } from "../types";

export function HypervolumeChart({ history, nothing }: { history: Front["history"]; nothing: string }) {
  const { colours } = useTheme();
  const normalised = history.length > 0 && history.every((point) => normalisedOf(point) !== null);
  const option = useMemo(() => {
    const points = history.map((point) => [point.num_evaluations, normalised ? normalisedOf(point) : point.hypervolume]);
    return {
      grid: { left: 76, right: 20, top: 12, bottom: 50 },
      xAxis: axisStyle(colours, "evaluations", { type: "value", scale: false, max: "dataMax" }),
      yAxis: axisStyle(colours, normalised ? "hypervolume / true front's" : "hypervolume", { type: "value", nameGap: 56, ...(normalised ? { max: 1 } : {}), axisLabel: { formatter: shortFigure } }),
      tooltip: { ...tooltipStyle(colours), trigger: "axis", valueFormatter: figure },
      series: [{ type: "line", step: "end", showSymbol: false, sampling: "max", data: points }],
    };
  }, [history, normalised, colours]);
  const last = history[history.length - 1];
  return (
    <Chart
      option={option}
      size="small"
      empty={history.some((point) => point.front_size > 0) ? undefined : nothing}
      title={normalised ? "Hypervolume, share of the true front's" : "Hypervolume"}
      label={`Hypervolume over ${last?.num_evaluations ?? 0} evaluations, now ${figure(last && (normalised ? normalisedOf(last) : last.hypervolume))}`}
      table={{ head: ["Evaluations", "Hypervolume", "Front size"], rows: () => history.map((point) => [point.num_evaluations, figure(normalised ? normalisedOf(point) : point.hypervolume), point.front_size]) }}
    />
  );
}

export const normalisedOf = (point: Front["history"][number]): number | null => point.normalised_hypervolume ?? null;
