// The supernet of a search: learning curves of its largest, smallest and random subnets, and how it is trained.
import { useMemo } from "react";
import { useGet } from "../api";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { duration, figure, percent, tick, time, title } from "../format";
import { Loading, ProblemNote } from "../problem";
import { useTheme } from "../theme";
import type { Curves, Dataset, Search, Supernet } from "../types";
import { useUrl } from "../url";
import { Facts } from "./config";

type Point = Curves["points"][number];
const SHOWN = ["accuracy_top1", "loss", "perplexity"];
// Beyond this ratio of the largest to the smallest value the small ones need a log axis to be told apart.
const LOG_RATIO = 20;
const NEAR = 3;

const valueOf = (point: Point, name: string): number | null =>
  name === "perplexity" ? (point.loss == null ? null : Math.exp(point.loss)) : point[name as "accuracy_top1" | "loss"];

// What guessing reaches: every class, or every token, equally likely.
function guessing(dataset: Dataset | undefined, name: string): number | null {
  const { classes, input } = (dataset?.manifest ?? {}) as { classes?: string[]; input?: { vocabulary?: number } };
  const number = classes?.length || input?.vocabulary;
  if (!number) return null;
  return name === "accuracy_top1" ? 1 / number : name === "loss" ? Math.log(number) : number;
}

export function LearningCurves({ search, live }: { search: Search; live: boolean }) {
  const { colours } = useTheme();
  const { params, set } = useUrl();
  const { data, error } = useGet<Curves>(`/v1/supernets/${search.supernet_id}/curves`, { every_ms: live && 3000 });
  const dataset = useGet<Dataset>(search.dataset_id && `/v1/datasets/${search.dataset_id}`, { fixed: true }).data;
  const isLanguageModel = dataset?.manifest.kind === "text" && (dataset.manifest.classes as string[]).length === 0;
  const asked = params.get("curve") ?? "";
  const shown = SHOWN.includes(asked) ? asked : isLanguageModel ? "perplexity" : "accuracy_top1";
  const points = data?.points ?? [];
  const names = useMemo(() => [...new Set(points.map((point) => point.subnet))], [points]);
  const format = shown === "accuracy_top1" ? percent : figure;
  const option = useMemo(() => {
    const values = points.map((point) => valueOf(point, shown)).filter((value): value is number => value != null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const chance = guessing(dataset, shown);
    const reach = points.reduce((last, point) => Math.max(last, point.step), 0);
    // Guessing is drawn where a curve is near it: far away it would press the curves together.
    const near = chance !== null && (shown === "accuracy_top1" ? low < NEAR * chance : chance < NEAR * high);
    return {
      grid: { left: 76, right: 24, top: 40, bottom: 50 },
      legend: { top: 0, data: [...names, ...(near ? ["guessing"] : [])], textStyle: { color: colours.ink } },
      xAxis: axisStyle(colours, "step", { type: "value", scale: false }),
      yAxis: axisStyle(colours, title(shown), { type: shown !== "accuracy_top1" && low > 0 && high / low > LOG_RATIO ? "log" : "value", nameGap: 56, ...(shown === "accuracy_top1" && high > 0.9 ? { max: 1 } : {}), axisLabel: { formatter: (value: number) => (shown === "accuracy_top1" ? tick(shown, value) : figure(value)) } }),
      tooltip: { ...tooltipStyle(colours), trigger: "axis", valueFormatter: format },
      series: [
        ...names.map((name, place) => ({ name, type: "line", symbol: ["circle", "rect", "triangle", "diamond"][place % 4], symbolSize: 7, data: points.filter((point) => point.subnet === name).map((point) => [point.step, valueOf(point, shown)]) })),
        ...(near ? [{ name: "guessing", type: "line", symbol: "none", silent: true, lineStyle: { type: "dashed", width: 1.5 }, itemStyle: { color: colours.muted }, data: [[0, chance], [reach, chance]] }] : []),
      ],
    };
  }, [points, names, shown, dataset, colours]);
  if (error) return <ProblemNote error={error} />;
  const step = data?.progress as { step?: number; num_steps?: number } | null | undefined;
  return (
    <Chart option={option} title={<>Learning curves on the search split {data && <span className={`chip ${data.state}`}>{data.state}</span>}</>} label={`Supernet: ${title(shown)} over training steps for ${names.join(", ")}`}
      empty={points.length > 0 ? undefined : !data ? "Reading the curves …" : `No point of a curve yet${step?.num_steps ? `: step ${step.step ?? 0} of ${step.num_steps}` : ""}.`}
      actions={<label className="inline">Show<select value={shown} onChange={(event) => set({ curve: event.target.value })}>{SHOWN.filter((name) => name !== "perplexity" || isLanguageModel).map((name) => <option key={name} value={name}>{title(name)}</option>)}</select></label>}
      table={{ head: ["Step", "Subnet", ...(isLanguageModel ? ["Perplexity"] : []), "Accuracy", "Loss"], rows: () => points.map((point) => [point.step, point.subnet, ...(isLanguageModel ? [figure(valueOf(point, "perplexity"))] : []), percent(point.accuracy_top1), figure(point.loss)]) }} />
  );
}

export function SupernetView({ search, live }: { search: Search; live: boolean }) {
  const { data: supernet, error } = useGet<Supernet>(search.supernet_id && `/v1/supernets/${search.supernet_id}`);
  if (!search.supernet_id) return <div className="card muted">This search has no supernet.</div>;
  if (error) return <ProblemNote error={error} />;
  if (!supernet) return <Loading what="the supernet" />;
  const { name, ...params } = supernet.recipe;
  return (
    <>
      <div className="card"><LearningCurves search={search} live={live} /></div>
      <div className="card">
        <h2>Training by {String(name)}</h2>
        <Facts facts={{ id: supernet.id, seed: supernet.seed, took: duration(supernet.train_s), ready: time(supernet.ready_at) }} />
        <h3>Recipe</h3>
        <Facts facts={params} />
      </div>
    </>
  );
}
