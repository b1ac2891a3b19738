// The specification exactly as stored, where everything came from, and how to repeat the search.
import { Link } from "wouter";
import { useGet } from "../api";
import { download } from "../download";
import { percent, time } from "../format";
import type { Dataset, Json, Search, SpaceDetail } from "../types";

// Any JSON as a list of names and values; objects become nested names.
export function Facts({ facts }: { facts: Json }) {
  const rows = Object.entries(facts).flatMap(([name, value]) => flat(name, value));
  return <dl className="facts">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

// One block of facts per part of the specification, so that names stay short.
function Sections({ facts }: { facts: Json }) {
  const parts = Object.entries(facts).filter(([, value]) => value !== null && typeof value === "object");
  const plain = Object.fromEntries(Object.entries(facts).filter(([, value]) => value === null || typeof value !== "object"));
  return (
    <>
      <Facts facts={plain} />
      {parts.map(([name, value]) => <section key={name}><h3>{name}</h3><Facts facts={value as Json} /></section>)}
    </>
  );
}

function flat(name: string, value: unknown): [string, string][] {
  if (value === null || value === undefined) return [[name, "–"]];
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) return value.flatMap((item, place) => flat(`${name} ${place}`, item));
  if (typeof value === "object" && !Array.isArray(value)) return Object.entries(value).flatMap(([inner, own]) => flat(inner === "params" ? name : name === "params" ? inner : `${name}.${inner}`, own));
  return [[name, Array.isArray(value) ? value.join(", ") : String(value)]];
}

// The request that starts the same search again.
export function requestOf(search: Search): Json {
  const { space_id, dataset_id, ...spec } = search.spec as Search["spec"] & { space_id: string; dataset_id: string | null };
  const without = (given: object) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  if (spec.evaluator.kind === "table") {
    const { finalists: _, ...rest } = spec;
    const { table_id, ...evaluator } = spec.evaluator;
    return { ...rest, budget: without(spec.budget), objectives: spec.objectives.map(({ target: _target, ...one }) => without(one)), evaluator: { ...without(evaluator), table: table_id } };
  }
  return {
    ...spec,
    space: { id: space_id },
    dataset: dataset_id,
    objectives: spec.objectives.map(({ target, ...objective }) => ({ ...without(objective), ...(target ?? {}) })),
    evaluator: without(spec.evaluator),
    finalists: without(spec.finalists),
    budget: without(spec.budget),
  };
}

export function ConfigView({ search }: { search: Search }) {
  const space = useGet<SpaceDetail>(`/v1/search-spaces/${search.space_id}`, { fixed: true }).data;
  const dataset = useGet<Dataset>(search.dataset_id && `/v1/datasets/${search.dataset_id}`, { fixed: true }).data;
  const request = JSON.stringify(requestOf(search), null, 2);
  const heldOut = search.latency_estimator?.held_out as Json | null | undefined;
  return (
    <>
      <div className="card">
        <div className="row">
          <h2>Specification</h2>
          <span className="space" />
          <Link className="button" href={`/new?from=${search.id}`}>Change and start again</Link>
          <button onClick={() => void navigator.clipboard.writeText(request)}>Copy request</button>
          <button onClick={() => download(`${search.id}.json`, "application/json", request)}>Download</button>
        </div>
        <p className="muted">The same specification and seed give the same sequence of architectures, whatever crashes or how fast it runs.</p>
        <Sections facts={search.spec} />
      </div>
      <div className="card">
        <h2>Provenance</h2>
        <Facts facts={{
          search: search.id, "started by": search.created_by, created: time(search.created_at), started: time(search.started_at), finished: time(search.finished_at),
          "search space": space ? `${space.name} (${search.space_id}), ${space.cardinality} architectures` : search.space_id,
          ...(search.dataset_id ? { "data set": dataset ? `${dataset.name} (${search.dataset_id})` : search.dataset_id, "data fingerprint": dataset?.fingerprint, splits: dataset?.manifest.splits, supernet: search.supernet_id } : {}),
          ...(search.spec.evaluator.kind === "table" ? { table: search.spec.evaluator.table_id } : {}),
          "reference point": search.reference_point,
          ...(search.latency_estimator ? { "latency estimator": search.latency_estimator.id, "measured on": search.latency_estimator.target, "held-out error": Object.fromEntries(Object.entries(heldOut ?? {}).map(([name, value]) => [name, name === "mape" ? percent(Number(value)) : value])) } : {}),
        }} />
      </div>
      <div className="card">
        <h2>Repeat it</h2>
        <pre>{`curl -H "Authorization: Bearer $NAS_API_KEY" -H 'Content-Type: application/json' \\\n  ${window.location.origin}/v1/searches -d @${search.id}.json`}</pre>
      </div>
    </>
  );
}
