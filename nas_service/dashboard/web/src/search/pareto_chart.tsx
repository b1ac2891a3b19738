// Scatter of two metrics: the front as a line of points, other trials behind it, measured spread as error bars.
import { useMemo } from "react";
import { axisStyle, Chart, cssColour, PALETTE } from "../chart";
import { metric } from "../format";
import type { Objective, Trial } from "../types";

export const METRICS = ["accuracy_top1", "loss", "macs", "params", "latency_ms"] as const;
export const valueOf = (trial: Trial, name: string): number | null => (trial as unknown as Record<string, number | null>)[name] ?? null;

interface Props {
  members: Trial[]; others: Trial[]; objectives: Objective[]; x: string | null; y: string | null;
  logX: boolean; theme: string; small?: boolean; selected: string | null; onSelect: (trial: string) => void;
}

export function ParetoChart(props: Props) {
  const axes = props.objectives.filter((objective) => objective.optimize);
  const y = props.y ?? axes[0]?.metric ?? "accuracy_top1";
  const x = props.x ?? axes[1]?.metric ?? "macs";
  const option = useMemo(() => {
    const points = (trials: Trial[]) =>
      trials
        .filter((trial) => valueOf(trial, x) != null && valueOf(trial, y) != null)
        .map((trial) => ({
          value: [valueOf(trial, x), valueOf(trial, y), trial.latency_p10_ms, trial.latency_p90_ms],
          trial,
          itemStyle: trial.id === props.selected ? { borderColor: cssColour("--ink"), borderWidth: 3 } : undefined,
        }))
        .sort((a, b) => (a.value[0] ?? 0) - (b.value[0] ?? 0));
    const front = points(props.members);
    const bars = x === "latency_ms" ? front.filter((point) => point.value[2] != null) : [];
    return {
      grid: { left: 80, right: 24, top: 20, bottom: 56 },
      xAxis: axisStyle(x, { type: props.logX ? "log" : "value", axisLabel: { color: cssColour("--muted"), formatter: (v: number) => metric(x, v) } }),
      yAxis: axisStyle(y, { type: "value", nameGap: 60, axisLabel: { color: cssColour("--muted"), formatter: (v: number) => metric(y, v) } }),
      tooltip: {
        renderMode: "richText",
        formatter: (item: { data: { trial?: Trial } }) =>
          item.data.trial
            ? [`trial ${item.data.trial.number}`, ...METRICS.map((name) => `${name}: ${metric(name, valueOf(item.data.trial!, name))}`)].join("\n")
            : "",
      },
      series: [
        { type: "scatter", symbolSize: 5, itemStyle: { color: cssColour("--muted"), opacity: 0.35 }, data: points(props.others) },
        {
          type: "custom",
          silent: true,
          data: bars.map((point) => point.value),
          renderItem: (_: unknown, api: { value: (i: number) => number; coord: (v: number[]) => number[] }) => {
            const low = api.coord([api.value(2), api.value(1)]);
            const high = api.coord([api.value(3), api.value(1)]);
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: cssColour("--muted"), lineWidth: 1.5 } };
          },
        },
        { type: "line", symbol: "circle", symbolSize: 10, lineStyle: { width: 1.5 }, itemStyle: { color: PALETTE[0] }, data: front },
      ],
    };
  }, [props.members, props.others, props.selected, props.logX, props.theme, x, y]);
  return (
    <Chart
      option={option}
      small={props.small}
      label={`${props.members.length} non-dominated trials, ${y} against ${x}`}
      onPick={(data) => { const trial = (data as { trial?: Trial })?.trial; if (trial) props.onSelect(trial.id); }}
    />
  );
}
