// Parallel coordinates of choices and metrics: brushing an axis selects trials, listed below and kept in the address.
import { useEffect, useMemo, useRef, useState } from "react";
import { get, useGet } from "../api";
import { Chart } from "../chart";
import { useColumns } from "../columns";
import { columnFormat, metric, percent, tick, title } from "../format";
import { axesOf, goalOf, metricsOf } from "../metrics";
import { Loading, ProblemNote } from "../problem";
import { useTheme } from "../theme";
import type { Front, Search, SpaceDetail, TrialColumns } from "../types";
import { useUrl } from "../url";
import { associations } from "./association";
import { nothingToDraw } from "./overview";
import { topOf } from "./pareto_chart";

const DRAWN = 1500;
const AXES = 8;
const AXIS_PX = 80; // a narrow screen scrolls
const LISTED = 50;
type Intervals = Record<string, [number, number][]>;

function readBrush(text: string | null): Intervals {
  const found: Intervals = {};
  for (const part of text?.split(";") ?? []) {
    const match = /^(.+)~(-?[\d.e+-]+)~(-?[\d.e+-]+)$/.exec(part);
    if (match) (found[match[1]!] ??= []).push([Number(match[2]), Number(match[3])]);
  }
  return found;
}

const writeBrush = (intervals: Intervals): string | null =>
  Object.entries(intervals).flatMap(([name, parts]) => parts.map(([low, high]) => `${name}~${+low.toPrecision(6)}~${+high.toPrecision(6)}`)).join(";") || null;

export function ChoicesView({ search, live }: { search: Search; live: boolean }) {
  const { params, set } = useUrl();
  const { colours } = useTheme();
  const space = useGet<SpaceDetail>(`/v1/search-spaces/${search.space_id}`, { fixed: true });
  const front = useGet<Front>(`/v1/searches/${search.id}/front?stage=search`).data;
  const metrics = metricsOf(search);
  // A sample is drawn at once; the selection counts all as soon as they are here.
  const fields = ["state", "choices", ...metrics];
  const every = Math.ceil(search.num_asked / DRAWN);
  const sample = useColumns(search.id, fields, live, { every, enabled: every > 1 });
  const all = useColumns(search.id, fields, live, { enabled: every <= 1 || sample.columns !== undefined });
  const columns = all.columns ?? sample.columns;
  const error = all.error ?? sample.error;
  const target = params.get("target") ?? axesOf(search)[0]?.metric ?? metrics[0]!;
  const strength = useMemo(() => (columns ? associations(columns.metrics[target] ?? [], columns.choices) : []), [columns, target]);
  // Axes stay where they are while more trials arrive.
  const strongest = useRef<Record<string, string[]>>({});
  const chosen = useMemo(() => {
    if (strength.length > 0) strongest.current[target] ??= strength.slice(0, AXES).map((item) => item.gene);
    return params.get("genes")?.split(",").filter(Boolean) ?? strongest.current[target] ?? [];
  }, [params.get("genes"), strength, target]);
  const brush = params.get("brush");
  const intervals = useMemo(() => readBrush(brush), [brush]);
  const column = (name: string): (number | null)[] => columns?.choices[name] ?? columns?.metrics[name] ?? [];
  const matching = useMemo(() => {
    if (!columns) return [];
    const tests = Object.entries(intervals);
    return columns.number.map((_, place) => place).filter((place) => columns.state[place] === "succeeded" && tests.every(([name, parts]) => {
      const value = column(name)[place];
      return value != null && parts.some(([low, high]) => value >= low && value <= high);
    }));
  }, [columns, intervals]);
  const names = useMemo(() => [...chosen, ...metrics], [chosen.join(), metrics.join()]);
  const [cleared, setCleared] = useState(0);
  const latest = useRef(intervals);
  latest.current = intervals;

  const option = useMemo(() => {
    if (!columns || !space.data) return {};
    const done = columns.number.map((_, place) => place).filter((place) => columns.state[place] === "succeeded");
    const stride = Math.max(1, Math.ceil(done.length / DRAWN));
    const best = new Set(front?.members.map((trial) => trial.number));
    const row = (place: number) => names.map((name) => column(name)[place] ?? "-");
    // Lines pass behind the labels.
    const label = { color: colours.muted, backgroundColor: colours.card, padding: [0, 3], borderRadius: 3 };
    const genes = new Map(space.data.genes.map((gene) => [gene.name, gene]));
    const others = done.filter((place, order) => order % stride === 0 && !best.has(columns.number[place]!));
    return {
      parallel: { left: 50, right: 80, top: 60, bottom: 26, axisExpandable: false, parallelAxisDefault: { areaSelectStyle: { width: 18, color: colours.accent, opacity: 0.25, borderColor: colours.accent } } },
      parallelAxis: names.map((name, dim) => {
        const gene = genes.get(name);
        const inactive = gene && column(name).includes(-1);
        return {
          dim,
          name: gene ? name.replaceAll(".", "\n") : title(name),
          id: name,
          // The good end of a metric is above, where its name is.
          nameLocation: !gene && goalOf(search.spec.objectives, name) === "minimize" ? "start" : "end",
          nameTextStyle: { color: colours.ink, fontSize: 11, lineHeight: 13 },
          axisLine: { lineStyle: { color: colours.muted } },
          type: "value",
          scale: true,
          ...(gene
            ? { min: inactive ? -1 : 0, max: Math.max(1, gene.options.length - 1), interval: 1, axisLabel: { ...label, formatter: (value: number) => (value < 0 ? "off" : String(gene.options[value] ?? "")) } }
            : { inverse: goalOf(search.spec.objectives, name) === "minimize", max: topOf(name), axisLabel: { ...label, formatter: (value: number) => tick(name, value) } }),
        };
      }),
      series: [
        { id: "others", type: "parallel", lineStyle: { color: colours.muted, width: 1, opacity: others.length > 300 ? 0.12 : 0.3 }, inactiveOpacity: 0.02, activeOpacity: 0.5, progressive: 500, data: others.map(row) },
        { id: "front", type: "parallel", lineStyle: { color: colours.series[0], width: 2, opacity: 0.9 }, inactiveOpacity: 0.08, activeOpacity: 1, z: 3, data: done.filter((place) => best.has(columns.number[place]!)).map(row) },
      ],
    };
  }, [columns, space.data, front, names, colours, search.spec.objectives]);

  if (error ?? space.error) return <ProblemNote error={error ?? space.error} />;
  if (!columns || !space.data) return <Loading what="choices" />;
  if (all.columns && !all.columns.state.includes("succeeded")) return <div className="card muted">{nothingToDraw(search)}</div>;
  const brushed = (event: unknown) => {
    const { parallelAxisId, intervals: parts } = event as { parallelAxisId: string; intervals: [number, number][] };
    const next = { ...latest.current };
    if (parts?.length) next[parallelAxisId] = parts;
    else delete next[parallelAxisId];
    latest.current = next;
    set({ brush: writeBrush(next) }, true);
  };
  const toggle = (gene: string) => {
    const next = chosen.includes(gene) ? chosen.filter((one) => one !== gene) : [...chosen, gene];
    const { [gene]: _, ...kept } = intervals;
    set({ genes: next.join(",") || null, brush: writeBrush(kept) });
  };
  const open = async (number: number) => {
    const found = await get<TrialColumns>(`/v1/searches/${search.id}/trial-columns?fields=id&first=${number}&limit=1`);
    if (found.id?.[0]) set({ trial: found.id[0], tab: "architecture" });
  };
  const goal = goalOf(search.spec.objectives, target) === "minimize" ? 1 : -1;
  const listed = [...matching].sort((a, b) => goal * ((columns.metrics[target]?.[a] ?? 0) - (columns.metrics[target]?.[b] ?? 0))).slice(0, LISTED);
  const formats = new Map(metrics.map((name) => [name, columnFormat(name, listed.map((place) => columns.metrics[name]?.[place]))]));
  const shownOption = (gene: string, value: number | undefined) => (value === undefined || value < 0 ? "off" : String(space.data!.genes.find((one) => one.name === gene)?.options[value] ?? value));
  const done = columns.state.filter((state) => state === "succeeded").length;
  return (
    <>
      <div className="card">
        <BrushedChart key={names.join() + cleared} option={option} intervals={intervals} onBrush={brushed} label={`${names.length} axes, ${done} trials, ${matching.length} selected`}
          table={{ head: ["Trial", ...names.map(title)], rows: () => matching.map((place) => [columns.number[place]!, ...chosen.map((gene) => shownOption(gene, columns.choices[gene]?.[place])), ...metrics.map((name) => metric(name, columns.metrics[name]?.[place]))]) }} />
        <p className="muted">
          Drag along an axis to select; click it to clear. Blue: the front.{!all.columns && ` The other ${search.num_asked - columns.number.length} of ${search.num_asked} trials are being read.`}{done > DRAWN && ` Of ${done} trials, the front and every ${Math.ceil(done / DRAWN)}th other are drawn; the selection counts all.`}
          {brush && <> <button className="quiet" onClick={() => { set({ brush: null }); setCleared(cleared + 1); }}>Clear selection</button></>}
        </p>
      </div>
      <div className="grid">
        <div className="card">
          <div className="row"><h2>What goes with {title(target)}</h2><span className="space" />
            <label className="inline">Metric<select value={target} onChange={(event) => set({ target: event.target.value, genes: null })}>{metrics.map((name) => <option key={name} value={name}>{title(name)}</option>)}</select></label>
          </div>
          <p className="muted">Share of its variance over the evaluated trials that one choice explains. The strategy chose the trials, so this is association, not effect.</p>
          <ul className="meters scroll">
            {strength.map(({ gene, share }) => (
              <li key={gene}><label><input type="checkbox" checked={chosen.includes(gene)} onChange={() => toggle(gene)} /><code>{gene}</code><meter min={0} max={1} value={share} aria-label={`${gene} explains ${percent(share)}`} /><span className="tabular">{percent(share)}</span></label></li>
            ))}
          </ul>
        </div>
        <div className="card">
          <h2>{brush ? `${matching.length} of ${done} trials selected` : `${done} trials`}</h2>
          <div className="scroll" tabIndex={0}>
            <table>
              <thead><tr><th>Trial</th>{metrics.map((name) => <th key={name} className="number">{title(name)}</th>)}</tr></thead>
              <tbody>{listed.map((place) => (
                <tr key={place}>
                  <td><button className="link" onClick={() => void open(columns.number[place]!)}>{columns.number[place]}</button></td>
                  {metrics.map((name) => <td key={name} className="number">{formats.get(name)!(columns.metrics[name]?.[place])}</td>)}
                </tr>
              ))}</tbody>
            </table>
            {matching.length > LISTED && <p className="muted">The best {LISTED} by {title(target)}.</p>}
          </div>
        </div>
      </div>
    </>
  );
}

// The brush belongs to the address: after the picture is drawn anew its intervals are put back.
function BrushedChart({ intervals, onBrush, ...props }: { option: Record<string, unknown>; intervals: Intervals; label: string; table: { head: string[]; rows: () => (string | number | null)[][] }; onBrush: (event: unknown) => void }) {
  const own = useRef(true);
  const restore = (_: unknown, chart: { dispatchAction: (action: { type: string; [name: string]: unknown }) => void }) => {
    if (!own.current) return;
    own.current = false;
    for (const [name, parts] of Object.entries(intervals)) chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: name, intervals: parts });
  };
  useEffect(() => {
    own.current = true;
  }, [props.option]);
  return <Chart {...props} title="Choices and metrics" size="tall" min_px={AXIS_PX * props.table.head.length} onEvent={{ axisareaselected: onBrush, finished: restore }} />;
}
