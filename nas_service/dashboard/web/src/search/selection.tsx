// What several views of one search share: the selected trial, the pinned ones, and bounds on metrics; all in the URL.
import { useMemo } from "react";
import { metric, title } from "../format";
import { goalOf } from "../metrics";
import type { Objective } from "../types";
import { useUrl } from "../url";

interface Bound { name: string; side: "le" | "ge"; value: number }
const MAX_PINS = 4;

export function useSelection() {
  const { params, set } = useUrl();
  const pins = params.get("pins")?.split(",").filter(Boolean) ?? [];
  const togglePin = (trial: string) => {
    const next = pins.includes(trial) ? pins.filter((one) => one !== trial) : [...pins, trial].slice(-MAX_PINS);
    set({ pins: next.length ? next.join(",") : null });
  };
  return { selected: params.get("trial"), pins, select: (trial: string) => set({ trial }), togglePin };
}

export function useBounds(): { bounds: Bound[]; setBound: (name: string, side: "le" | "ge", value: number | null) => void; clear: () => void } {
  const { params, set } = useUrl();
  const text = [...params.entries()].filter(([name]) => /^(le|ge)\./.test(name)).join(";");
  const bounds = useMemo(
    () =>
      [...params.entries()].flatMap(([name, value]) => {
        const match = /^(le|ge)\.(.+)$/.exec(name);
        return match && Number.isFinite(Number(value)) ? [{ side: match[1] as "le" | "ge", name: match[2]!, value: Number(value) }] : [];
      }),
    [text],
  );
  return {
    bounds,
    setBound: (name, side, value) => set({ [`${side}.${name}`]: value === null ? null : String(+value.toPrecision(6)) }, true),
    clear: () => set(Object.fromEntries(bounds.map((bound) => [`${bound.side}.${bound.name}`, null]))),
  };
}

export const keeps = (bounds: Bound[], valueOf: (name: string) => number | null): boolean =>
  bounds.every(({ name, side, value }) => {
    const own = valueOf(name);
    return own === null || (side === "le" ? own <= value : own >= value);
  });

// One slider with a typed value per metric; its side is the one that rules out the worse half.
export function BoundSliders({ names, objectives, range }: { names: string[]; objectives: Objective[]; range: (name: string) => [number, number] | null }) {
  const { bounds, setBound, clear } = useBounds();
  const shownNames = names.filter((name) => {
    const ends = range(name);
    return ends && ends[1] > ends[0];
  });
  if (shownNames.length === 0) return null;
  return (
    <fieldset className="bounds">
      <legend>Constraints {bounds.length > 0 && <button className="quiet" onClick={clear}>clear</button>}</legend>
      {shownNames.map((name) => {
        const side = goalOf(objectives, name) === "maximize" ? "ge" : "le";
        const [low, high] = range(name)!;
        const bound = bounds.find((one) => one.name === name && one.side === side)?.value ?? null;
        const shown = bound ?? (side === "le" ? high : low);
        return (
          <div className="bound" key={name}>
            <span>{title(name)} {side === "le" ? "at most" : "at least"} <b>{bound === null ? "any" : metric(name, bound)}</b></span>
            <input type="range" aria-label={`bound of ${name}`} min={low} max={high} step={(high - low) / 200} value={shown} onChange={(event) => setBound(name, side, Number(event.target.value))} />
            <input type="number" step="any" aria-label={`${side === "le" ? "largest" : "smallest"} ${name}`} placeholder="any" value={bound ?? ""} onChange={(event) => setBound(name, side, event.target.value === "" ? null : Number(event.target.value))} />
          </div>
        );
      })}
    </fieldset>
  );
}
