// Scatter of two metrics: the front, what it dominates, every other trial behind it, and measured spread as error bars.
import { useMemo } from "react";
import { axisStyle, Chart, tooltipStyle, type Pick } from "../chart";
import { metric, RATIOS, tick, title } from "../format";
import { axesOf, goalOf, rangeOf, valueOf } from "../metrics";
import { useTheme } from "../theme";
import type { Search, Trial } from "../types";

interface Cloud { number: number[]; x: (number | null)[]; y: (number | null)[] }
interface Props {
  search: Search;
  members: Trial[];
  dominated?: Trial[];
  cloud?: Cloud;
  x: string;
  y: string;
  colour?: string | null;
  logX?: boolean;
  logY?: boolean;
  size?: "small" | "tall";
  heading: string;
  nothing: string;
  selected: string | null;
  pins?: string[];
  onPick: (trial: { id?: string; number?: number }, pin: boolean) => void;
}
const LARGE = 2000;

export function defaultAxes(search: Search): [string, string] {
  const axes = axesOf(search);
  return [axes[1]?.metric ?? (axes[0]?.metric === "macs" ? "params" : "macs"), axes[0]?.metric ?? "accuracy_top1"];
}

// No axis of a share goes beyond 100 %.
export const topOf = (name: string) => (RATIOS.includes(name) ? ({ max }: { max: number }) => (max > 0.95 ? 1 : null) : undefined);

export function ParetoChart(props: Props) {
  const { colours } = useTheme();
  const { x, y, colour, members, dominated, cloud, selected, pins } = props;
  // On a log axis a value of 0 or less has no place.
  const fits = (a: number | null, b: number | null) => a != null && b != null && !(props.logX && a <= 0) && !(props.logY && b <= 0);
  // Pairs of numbers without an object each: a hundred thousand points are drawn at once.
  const { places, numbers } = useMemo(() => {
    const size = cloud?.number.length ?? 0;
    const [places, numbers] = [new Float64Array(2 * size), new Int32Array(size)];
    let kept = 0;
    for (let place = 0; place < size; place += 1) {
      const [a, b] = [cloud!.x[place] ?? null, cloud!.y[place] ?? null];
      if (!fits(a, b)) continue;
      places[2 * kept] = a!;
      places[2 * kept + 1] = b!;
      numbers[kept] = cloud!.number[place]!;
      kept += 1;
    }
    return { places: places.subarray(0, 2 * kept), numbers: numbers.subarray(0, kept) };
  }, [cloud, props.logX, props.logY]);
  const option = useMemo(() => {
    const points = (trials: Trial[]) =>
      trials
        .filter((trial) => fits(valueOf(trial, x), valueOf(trial, y)))
        .map((trial) => ({
          value: [valueOf(trial, x), valueOf(trial, y), colour ? valueOf(trial, colour) : 0],
          trial,
          symbol: pins?.includes(trial.id) ? "diamond" : "circle",
          symbolSize: trial.id === selected || pins?.includes(trial.id) ? 15 : 10,
          itemStyle: trial.id === selected ? { borderColor: colours.ink, borderWidth: 3 } : undefined,
        }))
        .sort((a, b) => (a.value[0] ?? 0) - (b.value[0] ?? 0));
    const front = points(members);
    const plane = axesOf(props.search).map((objective) => objective.metric);
    const isLine = plane.length === 2 && plane.includes(x) && plane.includes(y);
    const barsOf = (trials: Trial[], isFront: number) => trials.flatMap((trial) => {
      const [a, b] = [valueOf(trial, x), valueOf(trial, y)];
      if (!fits(a, b)) return [];
      const [across, up] = [rangeOf(trial, x), rangeOf(trial, y)];
      return [...(across ? [[across[0], b, across[1], b, isFront]] : []), ...(up ? [[a, up[0], a, up[1], isFront]] : [])];
    });
    const bars = [...barsOf(dominated ?? [], 0), ...barsOf(members, 1)];
    const values = front.map((point) => point.value[2]).filter((value): value is number => value != null);
    return {
      grid: { left: 84, right: colour ? 96 : 24, top: 12, bottom: 56 },
      xAxis: axisStyle(colours, title(x), { type: props.logX ? "log" : "value", max: topOf(x), axisLabel: { formatter: (v: number) => tick(x, v) } }),
      yAxis: axisStyle(colours, title(y), { type: props.logY ? "log" : "value", nameGap: 66, max: topOf(y), axisLabel: { formatter: (v: number) => tick(y, v) } }),
      dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl" }, { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl" }],
      visualMap: colour && values.length > 1
        ? { seriesId: "front", dimension: 2, min: Math.min(...values), max: Math.max(...values), calculable: false, right: 0, top: "middle", text: [title(colour), ""], textStyle: { color: colours.muted }, formatter: (v: number) => metric(colour, v), inRange: { color: ["#440154", "#31688e", "#35b779", "#fde725"] } }
        : undefined,
      tooltip: {
        ...tooltipStyle(colours),
        formatter: (item: { seriesId: string; dataIndex: number; data: { trial?: Trial } }) => {
          if (item.seriesId === "cloud") return `trial ${numbers[item.dataIndex]}\n${title(x)}: ${metric(x, places[2 * item.dataIndex])}\n${title(y)}: ${metric(y, places[2 * item.dataIndex + 1])}`;
          const trial = item.data.trial;
          if (!trial) return "";
          const names = [...new Set([y, x, ...props.search.spec.objectives.map((objective) => objective.metric), ...(colour ? [colour] : [])])];
          return [`trial ${trial.number}`, ...names.map((name) => {
            const range = rangeOf(trial, name);
            return `${title(name)}: ${metric(name, valueOf(trial, name))}${range ? ` (${metric(name, range[0])} to ${metric(name, range[1])})` : ""}`;
          })].join("\n");
        },
      },
      // The cloud has a canvas of its own below the others, which pointing at the front does not draw again.
      series: [
        { id: "cloud", zlevel: -1, type: "scatter", dimensions: ["x", "y"], symbolSize: numbers.length > LARGE ? 3 : 5, itemStyle: { color: colours.muted, opacity: numbers.length > LARGE ? 0.25 : 0.4 }, large: true, largeThreshold: LARGE, progressive: 0, data: places },
        {
          id: "bars",
          type: "custom",
          silent: true,
          clip: true,
          encode: { x: [0, 2], y: [1, 3] },
          data: bars,
          renderItem: (_: unknown, api: { value: (i: number) => number; coord: (v: number[]) => number[] }) => {
            const low = api.coord([api.value(0), api.value(1)]);
            const high = api.coord([api.value(2), api.value(3)]);
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: colours.series[api.value(4) ? 0 : 1], opacity: api.value(4) ? 0.6 : 0.35, lineWidth: 1.5 } };
          },
        },
        { id: "dominated", type: "scatter", symbolSize: 9, itemStyle: { color: "transparent", borderColor: colours.series[1], borderWidth: 1.5 }, data: points(dominated ?? []) },
        // Between two points of a front nothing is known to be reached but what the worse of them reaches: a staircase.
        { id: "front", type: isLine ? "line" : "scatter", step: goalOf(props.search.spec.objectives, x) === "minimize" ? "end" : "start", symbol: "circle", showAllSymbol: true, lineStyle: { width: 1.5, color: colours.series[0] }, itemStyle: colour ? undefined : { color: colours.series[0] }, data: front },
      ],
    };
  }, [members, dominated, places, numbers, selected, pins?.join(), props.logX, props.logY, colours, x, y, colour, props.search.spec]);
  const pick = (found: Pick) => {
    const pin = found.event?.event?.shiftKey ?? false;
    const trial = (found.data as { trial?: Trial })?.trial;
    if (trial) props.onPick({ id: trial.id }, pin);
    else if (found.seriesId === "cloud") {
      const number = numbers[found.dataIndex];
      if (number !== undefined) props.onPick({ number }, pin);
    }
  };
  return (
    <Chart
      option={option}
      size={props.size}
      title={props.heading}
      label={`${title(y)} against ${title(x)}: ${members.length} non-dominated trials${numbers.length ? ` before ${numbers.length} others` : ""}`}
      table={{ head: ["Trial", title(x), title(y)], rows: () => members.map((trial) => [trial.number, metric(x, valueOf(trial, x)), metric(y, valueOf(trial, y))]) }}
      empty={members.length + numbers.length + (dominated?.length ?? 0) === 0 ? props.nothing : undefined}
      onPick={pick}
    />
  );
}
