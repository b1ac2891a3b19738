// Hypervolume, or the gap to the best known, over evaluations: a line per group and a band over its seeds.
import { useCallback, useMemo } from "react";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { figure, shortFigure } from "../format";
import { useTheme } from "../theme";
import type { Band } from "./groups";

export function CurvesChart({ names, bands, normalised, gap, best, logX }: { names: string[]; bands: Band[]; normalised: boolean; gap: boolean; best: number; logX: boolean }) {
  const { colours } = useTheme();
  // On a log axis zero has no place: a gap is cut at a millionth of the best.
  const shown = useCallback((value: number) => (gap ? Math.max(best - value, best * 1e-6) : value), [gap, best]);
  const option = useMemo(() => {
    const usable = (at: number) => !logX || at > 0;
    const series = bands.flatMap((band, place) => {
      const colour = colours.series[place % colours.series.length];
      const line = band.at.flatMap((at, index) => (usable(at) ? [[at, shown(band.middle[index]!)]] : []));
      // The band has steps, as the line has.
      const edge = band.at.flatMap((at, index) => {
        if (!usable(at)) return [];
        const [low, high] = [shown(band.low[index]!), shown(band.high[index]!)];
        const next = band.at[index + 1];
        return next === undefined ? [[at, low, high]] : [[at, low, high], [next, low, high]];
      });
      return [
        ...(band.num_seeds > 1 ? [{
          type: "custom", name: names[place], silent: true, clip: true, encode: { x: 0, y: [1, 2] }, data: [edge.flat()], itemStyle: { color: colour }, tooltip: { show: false },
          renderItem: (_: unknown, api: { coord: (v: number[]) => number[] }) => ({
            type: "polygon",
            shape: { points: [...edge.map((point) => api.coord([point[0]!, point[1]!])), ...[...edge].reverse().map((point) => api.coord([point[0]!, point[2]!]))] },
            style: { fill: colour, opacity: 0.18 },
          }),
        }] : []),
        { type: "line", name: names[place], step: "end", showSymbol: false, lineStyle: { width: 2, type: (["solid", "dashed", "dotted"] as const)[Math.floor(place / colours.series.length) % 3] }, itemStyle: { color: colour }, data: line },
      ];
    });
    return {
      grid: { left: 80, right: 20, top: 40, bottom: 50 },
      legend: { type: "scroll", top: 0, data: names, textStyle: { color: colours.ink } },
      xAxis: axisStyle(colours, "evaluations", { type: logX ? "log" : "value", scale: false }),
      yAxis: axisStyle(colours, gap ? "gap to the best" : normalised ? "share of the true front's" : "hypervolume", { type: gap ? "log" : "value", nameGap: 60, axisLabel: { formatter: shortFigure } }),
      tooltip: { ...tooltipStyle(colours), trigger: "axis", valueFormatter: (value: unknown) => (typeof value === "number" ? figure(value) : "") },
      series,
    };
  }, [names, bands, normalised, gap, shown, logX, colours]);
  return (
    <Chart option={option} size="tall" empty={bands.length > 0 ? undefined : "Reading the curves …"} title={gap ? `Regret: gap to ${normalised ? "the true front" : "the best of these"}` : normalised ? "Hypervolume, share of the true front's" : "Hypervolume against a common reference point"}
      label={`${gap ? "Regret" : "Hypervolume"} over evaluations of ${names.join(", ")}`}
      table={{ head: ["Group", "Evaluations", "25 %", "Median", "75 %"], rows: () => bands.flatMap((band, place) => band.at.map((at, index) => [names[place]!, at, figure(shown((gap ? band.high : band.low)[index]!)), figure(shown(band.middle[index]!)), figure(shown((gap ? band.low : band.high)[index]!))])) }} />
  );
}
