// Several searches on the same axes: hypervolume and regret with bands over seeds, fronts overlaid, budgets and best points.
import { useQueries } from "@tanstack/react-query";
import { useMemo, type ReactNode } from "react";
import { Link } from "wouter";
import { get, useGet } from "../api";
import { axisStyle, Chart, tooltipStyle } from "../chart";
import { CurvesChart } from "../compare/curves_chart";
import { attained, bandOf, commonReference, groupsOf, quantile } from "../compare/groups";
import { duration, figure, learnUnits, metric, percent, tick, title } from "../format";
import { axesOf, goalOf, isFinished, valueOf } from "../metrics";
import { Loading, ProblemNote } from "../problem";
import { normalisedOf } from "../search/hypervolume_chart";
import { BoundSliders, keeps, useBounds } from "../search/selection";
import { useTheme } from "../theme";
import type { Front, HypervolumeCurve, LookupTable, Page, Search } from "../types";
import { useUrl } from "../url";

const SHAPES = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];

function useAll<T>(paths: string[], live: boolean): { data: (T | undefined)[]; error: Error | null } {
  const answers = useQueries({ queries: paths.map((path) => ({ queryKey: [path], queryFn: () => get<T>(path), refetchInterval: live ? 5000 : (false as const), staleTime: 2000 })) });
  return { data: answers.map((answer) => answer.data), error: answers.find((answer) => answer.error)?.error ?? null };
}

export function Compare() {
  const { params, set } = useUrl();
  const ids = useMemo(() => params.get("ids")?.split(",").filter(Boolean) ?? [], [params.get("ids")]);
  const found = useAll<Search>(ids.map((id) => `/v1/searches/${id}`), true);
  const searches = found.data.filter((one): one is Search => one !== undefined);
  const live = searches.some((search) => !isFinished(search));
  const tables = useAll<LookupTable>([...new Set(searches.flatMap((search) => (search.table_id ? [`/v1/tables/${search.table_id}`] : [])))], false);
  for (const table of tables.data) if (table) learnUnits(table.manifest.metrics as { name: string; unit: string }[]);
  const groups = useMemo(() => groupsOf(searches), [JSON.stringify(searches.map((one) => [one.id, one.spec]))]);
  const common = commonReference(searches);
  const reference = typeof common === "string" ? null : common.reference;
  const started = searches.filter((search) => search.reference_point !== null);
  const stage = params.get("stage") ?? "search";
  const searchFronts = useAll<Front>(searches.map((search) => `/v1/searches/${search.id}/front?stage=search`), live);
  const normalised = searchFronts.data.length > 0 && searchFronts.data.every((front) => front && front.history.length > 0 && front.history.every((point) => normalisedOf(point) !== null));
  // The reference point is known when all searches are; where a table knows the true front none is needed.
  const known = searches.length === ids.length && searchFronts.data.every((front) => front !== undefined);
  const curves = useAll<HypervolumeCurve>(known && reference && !normalised ? started.map((search) => `/v1/searches/${search.id}/hypervolume?num_points=200&reference_point=${reference.join(",")}`) : [], live);
  const shownFronts = useAll<Front>(searches.map((search) => `/v1/searches/${search.id}/front?stage=${stage}`), live);
  const others = useGet<Page<Search>>("/v1/searches?page_size=200", {}).data?.items.filter((search) => !ids.includes(search.id)) ?? [];
  // The page is drawn when all it compares is known, so that nothing moves afterwards.
  const complete = known && (tables.error !== null || tables.data.every((table) => table !== undefined));
  const change = (next: string[]) => set({ ids: next.length ? next.join(",") : null });
  const gap = params.get("show") === "regret";
  const curveOf = new Map<string, Pick<HypervolumeCurve, "num_evaluations" | "hypervolume">>();
  if (normalised)
    searches.forEach((search, place) => {
      const history = searchFronts.data[place]!.history;
      curveOf.set(search.id, { num_evaluations: history.map((point) => point.num_evaluations), hypervolume: history.map((point) => normalisedOf(point)!) });
    });
  else started.forEach((search, place) => { const curve = curves.data[place]; if (curve && curve.hypervolume.length > 0) curveOf.set(search.id, curve); });
  const drawn = groups.filter((group) => group.searches.every((search) => curveOf.has(search.id)));
  const bands = drawn.map((group) => bandOf(group.searches.map((search) => curveOf.get(search.id)!)));
  const best = normalised ? 1 : Math.max(0, ...[...curveOf.values()].map((curve) => curve.hypervolume[curve.hypervolume.length - 1] ?? 0));

  return (
    <main className="wide">
      <h1>Compare searches</h1>
      <div className="row">
        {(complete || found.error) && groups.flatMap((group) => group.searches).map((search) => (
          <span className="chip" key={search.id}>
            <Link href={`/searches/${search.id}`}>{search.name}</Link> <button className="link" aria-label={`remove ${search.name}`} onClick={() => change(ids.filter((id) => id !== search.id))}>✕</button>
          </span>
        ))}
        <label className="inline">Add
          <select value="" onChange={(event) => event.target.value && change([...ids, event.target.value])}>
            <option value="">a search …</option>
            {others.map((search) => <option key={search.id} value={search.id}>{search.name} · {search.spec.strategy.name}, seed {search.spec.seed}</option>)}
          </select>
        </label>
      </div>
      <ProblemNote error={found.error ?? curves.error ?? shownFronts.error} />
      {ids.length === 0 && <div className="card muted">Choose searches above, or tick them in the list. Those that differ in their seed alone are drawn as one line with a band.</div>}
      {ids.length > 0 && !complete && !found.error && <Loading what="the searches" />}
      {searches.length > 0 && (complete || found.error) && (
        <>
          <div className="card">
            <div className="row">
              <label className="inline">Show<select value={gap ? "regret" : "hypervolume"} onChange={(event) => set({ show: event.target.value === "regret" ? "regret" : null })}><option value="hypervolume">hypervolume</option><option value="regret">regret (log)</option></select></label>
              <label className="inline"><input type="checkbox" checked={params.get("logx") === "1"} onChange={(event) => set({ logx: event.target.checked ? "1" : null })} />log x</label>
              {reference && !normalised && <span className="muted">Counted from {axesOf(started[0]!).map(({ metric: name, goal }, place) => `${title(name)} ${metric(name, goal === "maximize" ? -reference[place]! : reference[place])}`).join(", ")}.</span>}
              {groups.some((group) => group.searches.length > 1) && <span className="muted">Line: median; band: 25 % to 75 % of the seeds.</span>}
            </div>
            {typeof common === "string" && !normalised ? <p className="muted">{common}</p>
              : <CurvesChart names={drawn.map((group) => group.name)} bands={bands} normalised={normalised} gap={gap} best={best} logX={params.get("logx") === "1"} />}
          </div>
          <Fronts groups={groups} searches={searches} fronts={shownFronts.data} stage={stage} />
          <Budgets groups={groups} fronts={new Map(searches.map((search, place) => [search.id, shownFronts.data[place]]))} curveOf={curveOf} normalised={normalised} />
        </>
      )}
    </main>
  );
}

type Groups = ReturnType<typeof groupsOf>;

function Fronts({ groups, searches, fronts, stage }: { groups: Groups; searches: Search[]; fronts: (Front | undefined)[]; stage: string }) {
  const { params, set } = useUrl();
  const { colours } = useTheme();
  const names = useMemo(() => {
    const each = searches.map((search) => axesOf(search).map((one) => one.metric));
    return [...new Set([...each.flat(), "macs", "params"])].filter((name) => each.every((axes) => axes.includes(name)) || fronts.every((front) => front?.members.every((trial) => valueOf(trial, name) != null)));
  }, [searches, fronts]);
  const [y, x] = [params.get("y") ?? names[0] ?? "accuracy_top1", params.get("x") ?? names[1] ?? "macs"];
  const logX = params.get("flog") === "1";
  const { bounds } = useBounds();
  const members = fronts.flatMap((front) => front?.members ?? []);
  const range = (name: string): [number, number] | null => {
    const values = members.flatMap((trial) => valueOf(trial, name) ?? []);
    return values.length > 0 ? [Math.min(...values), Math.max(...values)] : null;
  };
  const points = groups.map((group) => group.searches.flatMap((search) => (fronts[searches.indexOf(search)]?.members ?? []).filter((trial) => keeps(bounds, (name) => valueOf(trial, name))).map((trial) => ({ value: [valueOf(trial, x), valueOf(trial, y)], search, number: trial.number }))).filter(({ value }) => value[0] != null && value[1] != null && !(logX && value[0] <= 0)));
  // Between searches of several seeds the front that at least half of them reach is compared; the points are all of theirs.
  const signs = [x, y].map((name) => (goalOf(searches[0]!.spec.objectives, name) === "maximize" ? -1 : 1)) as [number, number];
  const plane = searches.every((search) => [x, y].every((name) => axesOf(search).some((axis) => axis.metric === name)));
  const lines = groups.map((group, place) => (plane ? attained(group.searches.map((search) => points[place]!.filter((point) => point.search === search).map((point) => point.value as [number, number])).filter((front) => front.length > 0), signs) : []));
  const option = useMemo(() => ({
    grid: { left: 84, right: 24, top: 40, bottom: 56 },
    legend: { type: "scroll", top: 0, data: groups.map((group) => group.name), textStyle: { color: colours.ink } },
    xAxis: axisStyle(colours, title(x), { type: logX ? "log" : "value", axisLabel: { formatter: (v: number) => tick(x, v) } }),
    yAxis: axisStyle(colours, title(y), { type: "value", nameGap: 66, axisLabel: { formatter: (v: number) => tick(y, v) } }),
    dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl" }, { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl" }],
    tooltip: { ...tooltipStyle(colours), formatter: ({ data }: { data: { value: number[]; search: Search; number: number } }) => `${data.search.name}\ntrial ${data.number}\n${title(x)}: ${metric(x, data.value[0])}\n${title(y)}: ${metric(y, data.value[1])}` },
    series: groups.flatMap((group, place) => {
      const color = colours.series[place % colours.series.length];
      return [
        { type: "scatter", name: group.name, symbol: SHAPES[place % SHAPES.length], symbolSize: 8, itemStyle: { color, opacity: group.searches.length > 1 ? 0.5 : 0.9 }, data: points[place] },
        { type: "line", name: group.name, step: "end", symbol: "none", silent: true, lineStyle: { width: 2 }, itemStyle: { color }, data: lines[place] },
      ];
    }),
  }), [groups, JSON.stringify(points.map((one) => one.map(({ value }) => value))), x, y, logX, colours]);
  return (
    <div className="card">
      <div className="row">
        <label className="inline">Stage<select value={stage} onChange={(event) => set({ stage: event.target.value })}><option value="search">search</option><option value="final">final (measured)</option></select></label>
        <label className="inline">x<select value={x} onChange={(event) => set({ x: event.target.value })}>{names.map((name) => <option key={name} value={name}>{title(name)}</option>)}</select></label>
        <label className="inline"><input type="checkbox" checked={logX} onChange={(event) => set({ flog: event.target.checked ? "1" : null })} />log x</label>
        <label className="inline">y<select value={y} onChange={(event) => set({ y: event.target.value })}>{names.map((name) => <option key={name} value={name}>{title(name)}</option>)}</select></label>
      </div>
      <div className="beside">
        <Chart option={option} size="tall" empty={fronts.every((front) => front) ? (points.some((own) => own.length > 0) ? undefined : bounds.length > 0 ? "No point keeps these constraints." : `None of these has a front of the stage “${stage}”.`) : "Reading the fronts …"} title="Fronts on the same axes" label={`Fronts of ${groups.map((group) => group.name).join(", ")}`} table={{ head: ["Group", "Seed", "Trial", title(x), title(y)], rows: () => points.flatMap((own, place) => own.map((point) => [groups[place]!.name, point.search.spec.seed, point.number, metric(x, point.value[0]), metric(y, point.value[1])])) }} />
        <BoundSliders names={names} objectives={searches[0]!.spec.objectives} range={range} />
      </div>
      <p className="muted">{plane && groups.some((group) => group.searches.length > 1) && "Line: what at least half of the seeds reach. "}Ctrl and the wheel zoom.</p>
    </div>
  );
}

function Budgets({ groups, fronts, curveOf, normalised }: { groups: Groups; fronts: Map<string, Front | undefined>; curveOf: Map<string, { hypervolume: number[] }>; normalised: boolean }) {
  const { colours } = useTheme();
  const metrics = [...new Set(groups.flatMap((group) => axesOf(group.searches[0]!).map((one) => `${one.metric} ${one.goal}`)))];
  const spread = (values: number[], show: (value: number) => string): ReactNode => {
    if (values.length === 0) return "–";
    const sorted = [...values].sort((a, b) => a - b);
    const [low, high] = [show(sorted[0]!), show(sorted[sorted.length - 1]!)];
    return low === high ? low : <>{show(quantile(sorted, 0.5))}<small className="range">{low} to {high}</small></>;
  };
  return (
    <div className="card scroll" tabIndex={0}>
      <h2>Budgets and best points</h2>
      <table>
        <thead><tr><th>Group</th><th className="number">Seeds</th><th>Strategy</th><th className="number">Trials</th><th className="number">Time</th><th className="number">Hypervolume{normalised && " share"}</th><th className="number">Front</th>{metrics.map((name) => <th key={name} className="number">Best {title(name.split(" ")[0]!)}</th>)}</tr></thead>
        <tbody>
          {groups.map((group, place) => (
            <tr key={group.key}>
              <td className="name"><span className="swatch" style={{ background: colours.series[place % colours.series.length] }} />{group.name}</td>
              <td className="number">{group.searches.length}</td>
              <td>{group.searches[0]!.spec.strategy.name}</td>
              <td className="number">{spread(group.searches.map((one) => one.num_told), (told) => `${told} / ${group.searches[0]!.spec.budget.trials}`)}</td>
              <td className="number">{spread(group.searches.flatMap((one) => (one.started_at && one.finished_at ? [(Date.parse(one.finished_at) - Date.parse(one.started_at)) / 1000] : [])), duration)}</td>
              <td className="number">{spread(group.searches.flatMap((one) => curveOf.get(one.id)?.hypervolume.slice(-1) ?? []), normalised ? percent : figure)}</td>
              <td className="number">{spread(group.searches.map((one) => fronts.get(one.id)?.members.length ?? 0), (size) => figure(size))}</td>
              {metrics.map((both) => {
                const [name, goal] = both.split(" ") as [string, string];
                const best = group.searches.flatMap((one) => {
                  const values = (fronts.get(one.id)?.members ?? []).map((trial) => valueOf(trial, name)).filter((value): value is number => value != null);
                  return values.length ? [goal === "maximize" ? Math.max(...values) : Math.min(...values)] : [];
                });
                return <td key={both} className="number">{spread(best, (value) => metric(name, value))}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
