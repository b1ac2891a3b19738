// The Pareto front: stage, moment, axes and bounds are chosen and live in the address; the table is the chart's twin.
import { useEffect, useMemo, useState } from "react";
import { get, useGet } from "../api";
import { useColumns } from "../columns";
import { csv, download } from "../download";
import { columnFormat, figure, metric, percent, plural, title } from "../format";
import { axesOf, metricsOf, rangeOf, SCORES, testValue, valueOf } from "../metrics";
import { Loading, ProblemNote } from "../problem";
import { useRowKeys } from "../shortcuts";
import type { Device, Front, Page, Search, Trial, TrialColumns } from "../types";
import { useUrl } from "../url";
import { ExportButton } from "./export_button";
import { nothingToDraw } from "./overview";
import { defaultAxes, ParetoChart } from "./pareto_chart";
import { Scrubber } from "./scrubber";
import { BoundSliders, keeps, useBounds, useSelection } from "./selection";

// Of a range the unit is said once where both ends have the same.
const withoutUnit = (low: string, high: string): string => (low.split(" ")[1] === high.split(" ")[1] ? low.split(" ")[0]! : low);

function useLater<T>(value: T, wait_ms: number): T {
  const [shown, setShown] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setShown(value), wait_ms);
    return () => window.clearTimeout(timer);
  }, [value, wait_ms]);
  return shown;
}

export function FrontView({ search, live }: { search: Search; live: boolean }) {
  const { params, set } = useUrl();
  const { selected, pins, select, togglePin } = useSelection();
  const { bounds } = useBounds();
  const stage = params.get("stage") ?? (search.state === "succeeded" && search.spec.finalists.count > 0 ? "final" : "search");
  const final = stage === "final";
  const at = !final && params.has("at") ? Math.min(Number(params.get("at")), search.num_told) : null;
  const asked = useLater(at, 120);
  const devices = useGet<Page<Device>>(search.latency_estimator ? "/v1/devices?page_size=200" : null, { fixed: true }).data?.items ?? [];
  const device = params.get("device");
  const { data: front, error } = useGet<Front>(`/v1/searches/${search.id}/front?stage=${stage}${device ? `&device=${encodeURIComponent(device)}` : ""}${asked === null ? "" : `&at_evaluation=${asked}`}`, { fixed: asked !== null });
  const [defaultX, defaultY] = defaultAxes(search);
  const [x, y, colour] = [params.get("x") ?? defaultX, params.get("y") ?? defaultY, params.get("colour")];
  const [logX, logY] = [params.get("log")?.includes("x") ?? false, params.get("log")?.includes("y") ?? false];
  const members = front?.members ?? [];
  const names = useMemo(() => metricsOf(search, members), [search, members]);
  // Of a hundred thousand trials only what is drawn or bounded is read.
  const { columns } = useColumns(search.id, [x, y, ...bounds.map((bound) => bound.name)], live);
  const kept = useMemo(() => members.filter((trial) => keeps(bounds, (name) => valueOf(trial, name))), [members, bounds]);
  const cloud = useMemo(() => {
    if (!columns || final) return undefined;
    const shown = { number: [] as number[], x: [] as (number | null)[], y: [] as (number | null)[] };
    columns.number.forEach((number, place) => {
      if ((at !== null && number >= at) || !keeps(bounds, (name) => columns.metrics[name]?.[place] ?? null)) return;
      shown.number.push(number);
      shown.x.push(columns.metrics[x]?.[place] ?? null);
      shown.y.push(columns.metrics[y]?.[place] ?? null);
    });
    return shown;
  }, [columns, final, at, bounds, x, y]);
  const rows = [...kept, ...(final ? (front?.dominated ?? []).filter((trial) => keeps(bounds, (name) => valueOf(trial, name))) : [])];
  useRowKeys(rows.map((trial) => trial.id), selected, select);
  if (error && !front) return <ProblemNote error={error} />;
  if (!front) return <Loading what="the front" />;
  const pick = async (found: { id?: string; number?: number }, pin: boolean) => {
    const id = found.id ?? (await get<TrialColumns>(`/v1/searches/${search.id}/trial-columns?fields=id&first=${found.number}&limit=1`)).id?.[0];
    if (id) (pin ? togglePin : select)(id);
  };
  const range = (name: string): [number, number] | null => {
    const values = (final || !columns?.metrics[name] ? members.map((trial) => valueOf(trial, name)) : columns.metrics[name]!).filter((value): value is number => value != null);
    return values.length ? values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [values[0]!, values[0]!]) : null;
  };
  const choose = (label: string, name: string, value: string, empty?: string) => (
    <label className="inline">{label}
      <select value={value} onChange={(event) => set({ [name]: event.target.value || null })}>
        {empty !== undefined && <option value="">{empty}</option>}
        {names.map((metricName) => <option key={metricName} value={metricName}>{title(metricName)}</option>)}
      </select>
    </label>
  );
  const log = (axis: "x" | "y", on: boolean) => (
    <label className="inline"><input type="checkbox" checked={on} onChange={(event) => set({ log: [axis === "x" ? event.target.checked : logX, axis === "y" ? event.target.checked : logY].map((is, place) => (is ? "xy"[place] : "")).join("") || null })} />log {axis}</label>
  );
  const tested = testedOf(search, rows);
  const save = (type: "csv" | "json") =>
    type === "json"
      ? download("front.json", "application/json", JSON.stringify({ ...front, history: undefined }, null, 2))
      : download("front.csv", "text/csv", csv(["trial_id", "number", "architecture_hash", ...names, ...tested.map((name) => `test_${name}`)], kept.map((trial) => [trial.id, trial.number, trial.architecture_hash, ...names.map((name) => valueOf(trial, name)), ...tested.map((name) => testValue(trial, name))])));
  return (
    <>
      <div className="card">
        <div className="row">
          {search.spec.finalists.count > 0 && <label className="inline">Stage
            <select value={stage} onChange={(event) => set({ stage: event.target.value, at: null })}>
              <option value="search">search{search.latency_estimator ? " (predicted)" : ""}</option>
              <option value="final">final{search.latency_estimator ? " (measured)" : ""}</option>
            </select>
          </label>}
          {devices.length > 1 && <label className="inline">Latency on<select value={device ?? ""} onChange={(event) => set({ device: event.target.value || null })}><option value="">the search's device</option>{devices.map((one) => <option key={one.id}>{one.name}</option>)}</select></label>}
          <span className="pair">{choose("x", "x", x)}{log("x", logX)}</span><span className="pair">{choose("y", "y", y)}{log("y", logY)}</span>{choose("colour", "colour", colour ?? "", "none")}
          <span className="space" />
          <button className="quiet" onClick={() => save("csv")}>CSV</button>
          <button className="quiet" onClick={() => save("json")}>JSON</button>
        </div>
        {!final && <Scrubber total={search.num_told} at={at} history={front.history} onMove={(value) => set({ at: value === null ? null : String(value) }, true)} />}
        <div className="beside">
          <ParetoChart search={search} nothing={nothingToDraw(search)} heading={`${kept.length < members.length ? `${kept.length} of ` : ""}${plural(members.length, "point")}${front.hypervolume != null ? ` · hypervolume ${figure(front.hypervolume)}` : ""}`} members={kept} dominated={final ? front.dominated : []} cloud={cloud} x={x} y={y} colour={colour} logX={logX} logY={logY} size="tall" selected={selected} pins={pins} onPick={(found, pin) => void pick(found, pin)} />
          <BoundSliders names={names} objectives={search.spec.objectives} range={range} />
        </div>
        <p className="muted">{front.latency_is && `Latency is ${front.latency_is}${front.device ? ` (${front.device})` : ""}. `}{legendOf(final, kept, front, [x, y])}Click a point to find its row, shift-click to pin it (up to four are compared under “architecture”); Ctrl and the wheel zoom.</p>
      </div>
      <FrontTable rows={rows} front={front} names={names} tested={tested} final={final} selected={selected} pins={pins} onSelect={select} onPin={togglePin} searchId={search.id} onOpen={(trial) => set({ trial, tab: "architecture" })} />
    </>
  );
}

// Scores on the test split: of the axes, or whichever there is.
function testedOf(search: Search, rows: Trial[]): string[] {
  const known = SCORES.filter((name) => rows.some((trial) => testValue(trial, name) !== null));
  const own = known.filter((name) => axesOf(search).some((axis) => axis.metric === name));
  return own.length > 0 ? own : known.slice(0, 1);
}

// What is seen beside the points of the front, said only where it is there.
function legendOf(final: boolean, members: Trial[], front: Front, shown: string[]): string {
  const bars = [
    shown.includes("accuracy_top1") && members.some((trial) => rangeOf(trial, "accuracy_top1")) && "95 % interval of the accuracy",
    shown.includes("latency_ms") && members.some((trial) => rangeOf(trial, "latency_ms")) && "p10 to p90 of the latency",
  ].filter(Boolean);
  return [
    bars.length > 0 && `Bars: ${bars.join(", ")}. `,
    final ? (front.dominated ?? []).length > 0 && "Hollow points were measured too and are dominated. " : "Grey: the other trials. ",
  ].filter(Boolean).join("");
}

function FrontTable(props: { rows: Trial[]; front: Front; names: string[]; tested: string[]; final: boolean; selected: string | null; pins: string[]; searchId: string; onSelect: (id: string) => void; onPin: (id: string) => void; onOpen: (id: string) => void }) {
  const gains = new Map(props.front.members.map((trial, place) => [trial.id, props.front.contributions[place]]));
  const range = (trial: Trial, name: string) => {
    const found = rangeOf(trial, name);
    return found && <small className="range">{withoutUnit(metric(name, found[0]), metric(name, found[1]))} – {metric(name, found[1])}</small>;
  };
  const formats = new Map(props.names.map((name) => [name, columnFormat(name, props.rows.map((trial) => valueOf(trial, name)))]));
  const whole = props.front.hypervolume ?? 0;
  if (props.rows.length === 0)
    return props.front.members.length === 0 ? null : <div className="card muted">No point of the front keeps these constraints.</div>;
  return (
    <div className="card scroll" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th>Pin</th><th>Trial</th>
            {props.names.map((name) => <th key={name} className="number">{title(name)}{SCORES.includes(name) && <small className="range">on {props.final ? "select" : "search"}</small>}</th>)}
            {props.tested.map((name) => <th key={name} className="number">{title(name)}<small className="range">on test</small></th>)}<th className="number" title="share of the hypervolume that only this point adds">It adds</th>{props.final && <th>Model</th>}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((trial) => (
            <tr key={trial.id} className={`pick ${trial.id === props.selected ? "selected" : ""}`} onClick={() => props.onSelect(trial.id)}>
              <td><input type="checkbox" aria-label={`pin trial ${trial.number}`} checked={props.pins.includes(trial.id)} onClick={(event) => event.stopPropagation()} onChange={() => props.onPin(trial.id)} /></td>
              <td><button className="link" onClick={(event) => { event.stopPropagation(); props.onOpen(trial.id); }} aria-label={`architecture of trial ${trial.number}`}>{trial.number}</button>{!gains.has(trial.id) && <span className="muted"> dominated</span>}</td>
              {props.names.map((name) => <td key={name} className="number">{formats.get(name)!(valueOf(trial, name))}{range(trial, name)}</td>)}
              {props.tested.map((name) => <td key={name} className="number">{metric(name, testValue(trial, name))}</td>)}
              <td className="number">{gains.has(trial.id) && whole > 0 ? percent(gains.get(trial.id)! / whole) : "–"}</td>
              {props.final && <td><ExportButton trialId={trial.id} searchId={props.searchId} /></td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
