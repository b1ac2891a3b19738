// Searches that differ in their seed alone are one group; its curves get a median and a band.
import type { HypervolumeCurve, Search } from "../types";

interface Group { key: string; name: string; searches: Search[] }
export interface Band { at: number[]; low: number[]; middle: number[]; high: number[]; num_seeds: number }

// The name may tell the seed: what is equal apart from it is decided by the specification.
export function groupsOf(searches: Search[]): Group[] {
  const groups = new Map<string, Group>();
  for (const search of searches) {
    const { seed: _seed, name: _name, ...rest } = search.spec;
    const key = JSON.stringify(rest);
    const group = groups.get(key) ?? { key, name: search.name, searches: [] };
    group.searches.push(search);
    groups.set(key, group);
  }
  const found = [...groups.values()];
  for (const group of found) if (group.searches.length > 1) group.name = `${commonStart(group.searches.map((one) => one.name)) || group.searches[0]!.spec.strategy.name} (${group.searches.length} seeds)`;
  return found;
}

function commonStart(names: string[]): string {
  let end = names[0]!.length;
  for (const name of names) while (!name.startsWith(names[0]!.slice(0, end))) end -= 1;
  return names[0]!.slice(0, end).replace(/[\s\-_,(]*(seed)?[\s\-_=]*$/i, "");
}

// Axes must agree for volumes to be comparable; the common reference point is the worst of all in every axis.
export function commonReference(searches: Search[]): { axes: string[]; reference: number[] } | string {
  const started = searches.filter((search) => search.reference_point !== null);
  const axes = (search: Search) => search.spec.objectives.filter((one) => one.optimize).map((one) => `${one.metric} (${one.goal})`);
  const first = started[0];
  if (!first) return "None of these searches has begun to search.";
  if (started.some((search) => axes(search).join() !== axes(first).join())) return "These searches have different objectives: their hypervolumes cannot be compared.";
  const reference = first.reference_point!.map((_, axis) => Math.max(...started.map((search) => search.reference_point![axis]!)));
  return { axes: axes(first), reference };
}

// Value of a step curve after `at` evaluations.
function valueAt(curve: Pick<HypervolumeCurve, "num_evaluations" | "hypervolume">, at: number): number {
  let value = 0;
  for (let place = 0; place < curve.num_evaluations.length && curve.num_evaluations[place]! <= at; place += 1) value = curve.hypervolume[place]!;
  return value;
}

// Median and the 25 % to 75 % band over the seeds, as far as every seed has come.
export function bandOf(curves: Pick<HypervolumeCurve, "num_evaluations" | "hypervolume">[]): Band {
  const reach = Math.min(...curves.map((curve) => curve.num_evaluations[curve.num_evaluations.length - 1] ?? 0));
  const at = [...new Set(curves.flatMap((curve) => curve.num_evaluations))].filter((number) => number <= reach).sort((a, b) => a - b);
  const band: Band = { at, low: [], middle: [], high: [], num_seeds: curves.length };
  for (const number of at) {
    const values = curves.map((curve) => valueAt(curve, number)).sort((a, b) => a - b);
    band.low.push(quantile(values, 0.25));
    band.middle.push(quantile(values, 0.5));
    band.high.push(quantile(values, 0.75));
  }
  return band;
}

// Linear interpolation between order statistics; `sorted` is ascending.
export function quantile(sorted: number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  return sorted[below]! + (place - below) * ((sorted[below + 1] ?? sorted[below]!) - sorted[below]!);
}

// Median attainment surface (Grunert da Fonseca, Fonseca, Hall 2001): for every x the y that at least half of the fronts
// reach with it. `signs`: 1 where the axis is minimised, -1 where it is maximised. From the best x to the worst.
export function attained(fronts: [number, number][][], [signX, signY]: [number, number]): [number, number][] {
  const half = Math.ceil(fronts.length / 2) - 1;
  const found: [number, number][] = [];
  for (const x of [...new Set(fronts.flatMap((front) => front.map((point) => signX * point[0])))].sort((a, b) => a - b)) {
    const reached = fronts.map((front) => Math.min(...front.filter((point) => signX * point[0] <= x).map((point) => signY * point[1]))).sort((a, b) => a - b)[half]!;
    if (Number.isFinite(reached) && reached !== signY * (found[found.length - 1]?.[1] ?? NaN)) found.push([signX * x, signY * reached]);
  }
  return found;
}
