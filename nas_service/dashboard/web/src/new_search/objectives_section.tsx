// What is optimised and what is only bounded; latency names its device.
import { useGet } from "../api";
import { FieldNote } from "../problem";
import type { Device, FieldProblem, Page } from "../types";
import { objective, type Draft, type ObjectiveDraft } from "./draft";

export interface Metric { name: string; unit: string; goal: string; help: string; source: string }

export function ObjectivesSection({ draft, edit, metrics, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; metrics: Metric[]; problems: FieldProblem[] }) {
  const devices = useGet<Page<Device>>("/v1/devices?page_size=200").data?.items ?? [];
  const free = metrics.filter((metric) => !draft.objectives.some((item) => item.metric === metric.name));
  const change = (place: number, next: Partial<ObjectiveDraft>) => edit({ objectives: draft.objectives.map((item, index) => (index === place ? { ...item, ...next } : item)) });
  return (
    <section className="card" aria-label="objectives">
      <h2>Objectives and constraints</h2>
      {draft.objectives.map((item, place) => {
        const metric = metrics.find((one) => one.name === item.metric);
        const pointer = `/objectives/${place}`;
        return (
          <fieldset className="objective" key={item.metric}>
            <legend>{item.metric} <span className="muted">{metric ? [metric.goal, metric.unit, metric.help].filter(Boolean).join(" · ") : "unknown here"}</span></legend>
            <div className="row">
              <label className="inline"><input type="checkbox" checked={item.optimize} onChange={(event) => change(place, { optimize: event.target.checked })} />an axis of the front</label>
              <label className="inline">at least<input type="number" step="any" aria-label={`${item.metric} at least`} placeholder={metric?.unit} value={item.minimum} onChange={(event) => change(place, { minimum: event.target.value })} /></label>
              <label className="inline">at most<input type="number" step="any" aria-label={`${item.metric} at most`} placeholder={metric?.unit} value={item.maximum} onChange={(event) => change(place, { maximum: event.target.value })} /></label>
              <span className="space" />
              <button type="button" className="quiet" aria-label={`remove ${item.metric}`} onClick={() => edit({ objectives: draft.objectives.filter((_, index) => index !== place) })}>✕</button>
            </div>
            {metric?.source === "device" && (
              <div className="row">
                <label className="inline">on<select aria-label="Device" value={item.device} onChange={(event) => change(place, { device: event.target.value })}><option value="">local-cpu</option>{devices.filter((device) => device.name !== "local-cpu").map((device) => <option key={device.id}>{device.name}</option>)}</select></label>
                <label className="inline">by<select aria-label="Runtime" value={item.runtime} onChange={(event) => change(place, { runtime: event.target.value })}><option value="">onnxruntime</option><option>torch</option></select></label>
                <label className="inline">batch<input type="number" min="1" placeholder="1" value={item.batch_size} onChange={(event) => change(place, { batch_size: event.target.value })} /></label>
                <label className="inline">threads<input type="number" min="1" placeholder="1" value={item.threads} onChange={(event) => change(place, { threads: event.target.value })} /></label>
              </div>
            )}
            <FieldNote problems={problems} pointer={pointer} below />
          </fieldset>
        );
      })}
      <FieldNote problems={problems} pointer="/objectives" />
      <label className="inline">Add
        <select aria-label="Add an objective" value="" onChange={(event) => event.target.value && edit({ objectives: [...draft.objectives, objective(event.target.value)] })}>
          <option value="">a metric …</option>
          {free.map((metric) => <option key={metric.name} value={metric.name}>{metric.name}{metric.help && `: ${metric.help}`}</option>)}
        </select>
      </label>
    </section>
  );
}
