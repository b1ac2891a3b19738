// What the form holds, and the request it stands for. Only what was changed from a method's defaults is sent.
import type { Dataset, Json, Methods, Search } from "../types";

export interface ObjectiveDraft {
  metric: string; optimize: boolean; minimum: string; maximum: string;
  device: string; runtime: string; batch_size: string; threads: string;
}
export interface MethodDraft { name: string; params: Json }
export interface Draft {
  name: string;
  source: "stored" | "document";
  space: string;
  document: Json | null;
  dataset: string;
  objectives: ObjectiveDraft[];
  evaluator: "train" | "reuse" | "table";
  table: string;
  replicate: string;
  recipe: MethodDraft;
  supernet: string;
  strategy: MethodDraft;
  trials: string;
  wall_s: string;
  finalists: string;
  mode: string;
  seeds: string;
  finalist_recipe: MethodDraft;
  parallelism: string;
  seed: string;
}

export const objective = (metric: string): ObjectiveDraft => ({ metric, optimize: true, minimum: "", maximum: "", device: "", runtime: "", batch_size: "", threads: "" });

export const EMPTY: Draft = {
  name: "my search", source: "stored", space: "", document: null, dataset: "", objectives: [objective("accuracy_top1"), objective("macs")],
  evaluator: "train", table: "", replicate: "mean", recipe: { name: "sandwich", params: {} }, supernet: "", strategy: { name: "auto", params: {} },
  trials: "200", wall_s: "", finalists: "8", mode: "inherit", seeds: "1", finalist_recipe: { name: "alone", params: {} }, parallelism: "8", seed: "0",
};

// Whether a family for this task reads what the data set holds.
export function fits(dataset: Dataset, task: string | undefined): boolean {
  if (task === undefined) return true;
  const { kind, classes } = dataset.manifest as { kind: string; classes?: string[] };
  if (kind !== "text") return task.startsWith(`${kind}_`);
  return task.startsWith("sequence_") ? Boolean(classes?.length) : task.endsWith("_lm") && !classes?.length;
}

// What follows from choosing a family for another task: data it reads, and for a language model what is asked of it.
export function adapted(draft: Draft, task: string | undefined, datasets: Dataset[]): Partial<Draft> {
  const dataset = [...datasets.filter((one) => one.id === draft.dataset), ...datasets].find((one) => fits(one, task))?.id ?? draft.dataset;
  const [wrong, right] = task?.endsWith("_lm") ? ["accuracy_top1", "perplexity"] : ["perplexity", "accuracy_top1"];
  const objectives = draft.objectives.some((one) => one.metric === right) ? draft.objectives : draft.objectives.map((one) => (one.metric === wrong ? { ...one, metric: right!, minimum: "", maximum: "" } : one));
  return { dataset, objectives };
}

// An empty field is left out; what is no number is sent as it is, so that the service says what is wrong with it.
const number = (text: string): unknown => (text.trim() === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);

export function requestOf(draft: Draft): Json {
  const present = (given: Json) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const objectives = draft.objectives.map((item) => {
    const bound = present({ minimum: number(item.minimum), maximum: number(item.maximum) });
    const device = item.metric === "latency_ms" ? { device: item.device || undefined, runtime: item.runtime || undefined, batch_size: number(item.batch_size), threads: number(item.threads) } : {};
    return present({ metric: item.metric, optimize: item.optimize ? undefined : false, constraint: Object.keys(bound).length ? bound : undefined, ...device });
  });
  const how = { strategy: draft.strategy, budget: present({ trials: number(draft.trials), wall_s: number(draft.wall_s) }), parallelism: number(draft.parallelism), seed: number(draft.seed) };
  // What a table holds needs no space, no data and no finalists.
  if (draft.evaluator === "table") return present({ name: draft.name, objectives, evaluator: { kind: "table", table: draft.table, replicate: draft.replicate }, ...how });
  return present({
    name: draft.name,
    space: draft.source === "document" ? { document: draft.document ?? {} } : { id: draft.space },
    dataset: draft.dataset,
    objectives,
    evaluator: draft.evaluator === "reuse" ? { supernet_id: draft.supernet } : { recipe: draft.recipe },
    ...how,
    finalists: present({ count: number(draft.finalists), mode: draft.mode, ...(draft.mode === "inherit" ? {} : { seeds: number(draft.seeds), recipe: draft.finalist_recipe }) }),
  });
}

// The form of an existing search, to change and start again. Parameters at their defaults count as unchanged.
export function draftOf(search: Search, methods: Methods): Draft {
  const { spec } = search;
  const text = (value: unknown) => (value == null ? "" : String(value));
  const method = (given: { name: string; params?: Json } | null | undefined, known: Methods["strategies"], otherwise: MethodDraft): MethodDraft => {
    if (!given) return otherwise;
    const properties = (known.find((one) => one.name === given.name)?.parameters.properties ?? {}) as Record<string, Json>;
    const changed = Object.entries(given.params ?? {}).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(properties[name]?.default ?? null) && !(properties[name] && "$ref" in properties[name]!));
    return { name: given.name, params: Object.fromEntries(changed) };
  };
  return {
    ...EMPTY,
    name: `${spec.name} (again)`,
    space: search.space_id,
    dataset: search.dataset_id ?? "",
    objectives: spec.objectives.map((one) => ({
      metric: one.metric, optimize: one.optimize ?? true, minimum: text(one.constraint?.minimum), maximum: text(one.constraint?.maximum),
      device: text(one.target?.device), runtime: text(one.target?.runtime), batch_size: text(one.target?.batch_size), threads: text(one.target?.threads),
    })),
    evaluator: spec.evaluator.kind === "table" ? "table" : spec.evaluator.recipe ? "train" : "reuse",
    table: text(spec.evaluator.table_id),
    replicate: text(spec.evaluator.replicate) || EMPTY.replicate,
    recipe: method(spec.evaluator.recipe, methods.supernet_recipes, EMPTY.recipe),
    supernet: text(spec.evaluator.supernet_id),
    strategy: method(spec.strategy, methods.strategies, EMPTY.strategy),
    trials: text(spec.budget.trials),
    wall_s: text(spec.budget.wall_s),
    finalists: text(spec.finalists.count),
    mode: spec.finalists.mode,
    seeds: text(spec.finalists.seeds),
    finalist_recipe: method(spec.finalists.recipe, methods.network_recipes, EMPTY.finalist_recipe),
    parallelism: text(spec.parallelism),
    seed: text(spec.seed),
  };
}
