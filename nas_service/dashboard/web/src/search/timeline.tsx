// Who worked when: attempts of jobs as bars, one lane per worker slot, and how many trials were finished over time.
import { useMemo } from "react";
import { useGet } from "../api";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { useColumns } from "../columns";
import { duration, plural } from "../format";
import { Loading, ProblemNote } from "../problem";
import { useTheme } from "../theme";
import type { Page, Search, TimelineItem } from "../types";

const KINDS = ["train_supernet", "fit_latency", "advance", "evaluate", "train_network", "measure", "export"];
const BINS = 60;
const said = (kind: string): string => kind.replaceAll("_", " ");
interface Bar { item: TimelineItem; lane: number; start: number; end: number }

// Attempts of one owner that overlap get lanes of their own.
function lanes(items: TimelineItem[], now: number): { bars: Bar[]; names: string[] } {
  const free: { owner: string; until: number }[] = [];
  const bars = items.map((item) => {
    const start = Date.parse(item.started_at);
    const end = item.finished_at ? Date.parse(item.finished_at) : now;
    let lane = free.findIndex((one) => one.owner === item.owner && one.until <= start);
    if (lane < 0) lane = free.push({ owner: item.owner, until: 0 }) - 1;
    free[lane]!.until = end;
    return { item, lane, start, end };
  });
  return { bars, names: free.map((one) => one.owner) };
}

export function TimelineView({ search, live }: { search: Search; live: boolean }) {
  const { colours } = useTheme();
  const { data, error, dataUpdatedAt } = useGet<Page<TimelineItem>>(`/v1/searches/${search.id}/timeline?limit=2000`, { every_ms: live && 3000 });
  const { columns } = useColumns(search.id, ["state", "finished_unix_s"], live);
  const { bars, names } = useMemo(() => lanes(data?.items ?? [], dataUpdatedAt), [data, dataUpdatedAt]);
  const zero = bars[0]?.start ?? 0;
  const option = useMemo(() => {
    const colour = (kind: string) => colours.series[KINDS.indexOf(kind) % colours.series.length];
    return {
      grid: { left: 84, right: 24, top: 34, bottom: 76 },
      legend: { type: "scroll", top: 0, textStyle: { color: colours.ink }, data: KINDS.filter((kind) => bars.some((bar) => bar.item.kind === kind)).map(said) },
      xAxis: axisStyle(colours, "", { type: "value", scale: false, min: 0, axisLabel: { formatter: (v: number) => duration(v) } }),
      yAxis: { type: "category", inverse: true, data: names.map((owner, lane) => (new Set(names).size > 1 ? `${owner.slice(-9)} · ${lane + 1}` : `lane ${lane + 1}`)), axisLabel: { color: colours.muted, fontSize: 11 }, axisLine: { lineStyle: { color: colours.line } } },
      dataZoom: [{ type: "slider", xAxisIndex: 0, filterMode: "weakFilter", height: 18, bottom: 8, textStyle: { color: colours.muted }, labelFormatter: (v: number) => duration(v) }],
      tooltip: {
        ...tooltipStyle(colours),
        formatter: ({ data: { bar } }: { data: { bar: Bar } }) =>
          [said(bar.item.kind) + (bar.item.num_trials ? ` of ${plural(bar.item.num_trials, "trial")}` : ""), `${bar.item.outcome}${bar.item.reason ? `: ${bar.item.reason}` : ""}, attempt ${bar.item.attempt}`, `began after ${duration((bar.start - zero) / 1000)}, took ${duration((bar.end - bar.start) / 1000)}`, `${bar.item.job_id} on ${bar.item.owner}`].join("\n"),
      },
      series: KINDS.filter((kind) => bars.some((bar) => bar.item.kind === kind)).map((kind) => ({
        name: said(kind),
        type: "custom",
        itemStyle: { color: colour(kind) },
        encode: { x: [1, 2], y: 0 },
        data: bars.filter((bar) => bar.item.kind === kind).map((bar) => ({ value: [bar.lane, (bar.start - zero) / 1000, (bar.end - zero) / 1000], bar })),
        renderItem: (frame: { dataIndex: number }, api: { value: (i: number) => number; coord: (v: number[]) => number[]; size: (v: number[]) => number[] }) => {
          const [x1, y] = api.coord([api.value(1), api.value(0)]);
          const [x2] = api.coord([api.value(2), api.value(0)]);
          const height = Math.min(26, api.size!([0, 1])[1]! * 0.7);
          const outcome = bars.filter((bar) => bar.item.kind === kind)[frame.dataIndex]?.item.outcome ?? "";
          const bad = outcome === "failed" || outcome === "lost";
          return { type: "rect", shape: { x: x1, y: y! - height / 2, width: Math.max(1.5, x2! - x1!), height }, style: { fill: colour(kind), opacity: outcome === "running" ? 0.6 : 0.9, stroke: bad ? colours.bad : undefined, lineWidth: bad ? 2 : 0 } };
        },
      })),
    };
  }, [bars, names, colours, zero]);
  const finished = useMemo(() => (columns?.finished_unix_s ?? []).filter((value): value is number => value != null).map((value) => value - zero / 1000), [columns, zero]);
  const rate = useMemo(() => {
    if (finished.length === 0) return [];
    const last = finished.reduce((most, value) => Math.max(most, value), 1);
    const width = last / BINS;
    const bins = new Array<number>(BINS).fill(0);
    for (const value of finished) bins[Math.min(BINS - 1, Math.max(0, Math.floor(value / width)))]! += 1;
    return [...bins.map((number, bin) => [bin * width, number / width]), [last, 0]];
  }, [finished]);
  const rateOption = useMemo(() => ({
    grid: { left: 70, right: 20, top: 12, bottom: 40 },
    xAxis: axisStyle(colours, "", { type: "value", scale: false, axisLabel: { formatter: (v: number) => duration(v) } }),
    yAxis: axisStyle(colours, "trials / s", { type: "value", scale: false, nameGap: 44 }),
    tooltip: { ...tooltipStyle(colours), trigger: "axis", valueFormatter: (v: number) => `${v.toFixed(2)} / s` },
    series: [{ type: "line", step: "end", showSymbol: false, areaStyle: { opacity: 0.25 }, data: rate }],
  }), [rate, colours]);
  if (error) return <ProblemNote error={error} />;
  if (!data) return <Loading what="the timeline" />;
  if (bars.length === 0) return <div className="card muted">{live ? "Nothing has been executed yet. Jobs appear here as soon as a worker takes one." : "No job of this search was executed."}</div>;
  const lost = bars.filter((bar) => bar.item.outcome === "lost" || bar.item.outcome === "failed").length;
  return (
    <>
      <div className="card">
        <Chart option={option} size={names.length > 6 ? "tall" : "small"} title={`${plural(bars.length, "attempt")} of jobs${lost ? `, ${lost} failed or lost` : ""}`} label={`Timeline of ${plural(bars.length, "attempt")} in ${plural(names.length, "lane")} over ${duration((Math.max(...bars.map((bar) => bar.end)) - zero) / 1000)}`}
          table={{ head: ["Start", "Took", "Kind", "Trials", "Attempt", "Outcome", "Reason", "Owner"], rows: () => bars.map(({ item, start, end }) => [duration((start - zero) / 1000), duration((end - start) / 1000), item.kind, item.num_trials, item.attempt, item.outcome, item.reason, item.owner]) }} />
        <p className="muted">Time since the first job.{lost > 0 && " Red border: failed or lost; its work was done again."}{live && " Pale: still running."} What runs at the same time has a lane each.</p>
      </div>
      <div className="card">
        <Chart option={rateOption} size="small" title="Trials finished per second" label={`${finished.length} trials finished`} table={{ head: ["From", "Trials per second"], rows: () => rate.map(([from, value]) => [duration(from), value!.toFixed(2)]) }} />
      </div>
    </>
  );
}
