// Which metrics a search has, what a trial's are, and how sure they are.
import { RATIOS } from "./format";
import type { Objective, Search, Trial } from "./types";

const ALWAYS = ["accuracy_top1", "loss", "macs", "params", "latency_ms"];
const FINISHED = ["succeeded", "failed", "cancelled"];
export const isFinished = (search: Search): boolean => FINISHED.includes(search.state);

// What depends on the split it is scored on.
export const SCORES = ["accuracy_top1", "f1_macro", "perplexity", "loss"];

// Metrics worth an axis: the search's own first.
export function metricsOf(search: Search, trials: Trial[] = []): string[] {
  const own = search.spec.objectives.map((objective) => objective.metric);
  const seen = ALWAYS.filter((name) => trials.some((trial) => valueOf(trial, name) != null));
  return [...new Set([...own, ...seen])];
}

export const axesOf = (search: Search): Objective[] => search.spec.objectives.filter((objective) => objective.optimize);

export function valueOf(trial: Trial, name: string): number | null {
  const value = (trial as unknown as Record<string, unknown>)[name] ?? trial.metrics[name];
  return typeof value === "number" ? value : null;
}

export function testValue(trial: Trial, name: string): number | null {
  const test = trial.metrics.test as Record<string, number> | undefined;
  return test?.[name] ?? null;
}

export const goalOf = (objectives: Objective[], name: string): string =>
  objectives.find((objective) => objective.metric === name)?.goal ?? (RATIOS.includes(name) ? "maximize" : "minimize");

// The range a value lies in: measured p10 to p90 of a latency, 95 % Wilson interval of an accuracy on n samples.
export function rangeOf(trial: Trial, name: string): [number, number] | null {
  if (name === "latency_ms" && trial.latency_p10_ms != null && trial.latency_p90_ms != null)
    return [trial.latency_p10_ms, trial.latency_p90_ms];
  const samples = trial.metrics.num_samples;
  if (name !== "accuracy_top1" || trial.accuracy_top1 == null || typeof samples !== "number") return null;
  return wilson(trial.accuracy_top1, samples);
}

// Wilson 1927: the interval of a share p of n samples, z = 1.96.
function wilson(p: number, n: number): [number, number] {
  const z2 = 1.96 * 1.96;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = ((1.96 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n)));
  return [centre - half, centre + half];
}
