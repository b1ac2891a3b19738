// The specification exactly as stored, where everything came from, and how to repeat the search.
import { Link } from "wouter";
import { useGet } from "../api";
import { download } from "../download";
import { CopyButton } from "../copy_button";
import { bigCount, metric, percent, plural, time } from "../format";
import { axesOf } from "../metrics";
import type { Dataset, Json, Search, SpaceDetail } from "../types";

// Any JSON as a list of names and values, by name; objects become nested names, what is not set is left out.
export function Facts({ facts, sorted = true }: { facts: Json; sorted?: boolean }) {
  const rows = Object.entries(facts).flatMap(([name, value]) => flat(name, value));
  if (sorted) rows.sort(([a], [b]) => a.localeCompare(b));
  return <dl className="facts">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

function flat(name: string, value: unknown): [string, string][] {
  if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) return [];
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) return value.flatMap((item, place) => flat(`${name} ${place + 1}`, item));
  if (typeof value === "object" && !Array.isArray(value)) return Object.entries(value).flatMap(([inner, own]) => flat(inner === "params" ? name : name === "params" ? inner : `${name}.${inner}`, own));
  return [[name, Array.isArray(value) ? value.map(String).join(", ") : typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(6)) : String(value)]];
}

function Objectives({ search }: { search: Search }) {
  const axes = axesOf(search);
  // Inside everything is minimised: what is maximised has the other sign there.
  const referenceOf = (name: string) => {
    const [place, point] = [axes.findIndex((axis) => axis.metric === name), search.reference_point];
    return place < 0 || !point ? "–" : metric(name, axes[place]!.goal === "maximize" ? -point[place]! : point[place]);
  };
  return (
    <div className="sideways" tabIndex={0}>
      <table>
        <thead><tr><th>Objective</th><th>Goal</th><th>Use</th><th className="number">At least</th><th className="number">At most</th><th className="number" title="hypervolume is counted from here">Reference</th><th>Measured on</th></tr></thead>
        <tbody>{search.spec.objectives.map(({ metric: name, goal, optimize, constraint, target }) => (
          <tr key={name}>
            <td><code>{name}</code></td><td>{goal}</td><td>{optimize ? "axis of the front" : "constraint only"}</td>
            <td className="number">{metric(name, constraint?.minimum)}</td><td className="number">{metric(name, constraint?.maximum)}</td><td className="number">{referenceOf(name)}</td>
            <td>{target ? `${String(target.device)}, ${String(target.runtime)}, batch ${String(target.batch_size)}, ${plural(Number(target.threads), "thread")}` : "–"}</td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}

// The request that starts the same search again.
function requestOf(search: Search): Json {
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
  const { evaluator, strategy, budget, finalists, parallelism, seed } = search.spec;
  const parts = { evaluator, strategy, budget, ...(finalists.count > 0 ? { finalists } : {}) };
  const heldOut = search.latency_estimator?.held_out as Json | null | undefined;
  return (
    <>
      <div className="card">
        <div className="row">
          <h2>Specification</h2>
          <span className="space" />
          <Link className="button" href={`/new?from=${search.id}`}>Change and start again</Link>
          <CopyButton text={request}>Copy request</CopyButton>
          <button onClick={() => download(`${search.id}.json`, "application/json", request)}>Download</button>
        </div>
        <p className="muted">The same specification and seed give the same sequence of architectures, whatever crashes or how fast it runs.</p>
        <Objectives search={search} />
        <Facts facts={{ parallelism, seed }} />
        {Object.entries(parts).map(([name, value]) => <section key={name}><h3>{name}</h3><Facts facts={value as Json} /></section>)}
      </div>
      <div className="card">
        <h2>Provenance</h2>
        <Facts sorted={false} facts={{
          search: search.id, "started by": search.created_by, created: time(search.created_at), started: time(search.started_at), finished: time(search.finished_at),
          "search space": space ? `${space.name} (${search.space_id}), ${bigCount(space.cardinality)} architectures` : search.space_id,
          ...(search.dataset_id ? { "data set": dataset ? `${dataset.name} (${search.dataset_id})` : search.dataset_id, "data fingerprint": dataset?.fingerprint, splits: Object.entries((dataset?.manifest.splits ?? {}) as Record<string, number>).map(([name, size]) => `${name} ${size.toLocaleString("en")}`), supernet: search.supernet_id } : {}),
          ...(search.spec.evaluator.kind === "table" ? { table: search.spec.evaluator.table_id } : {}),
          ...(search.latency_estimator ? { "latency estimator": search.latency_estimator.id, "measured on": search.latency_estimator.target, "held-out error": Object.fromEntries(Object.entries(heldOut ?? {}).map(([name, value]) => [name, name === "mape" ? percent(Number(value)) : value])) } : {}),
        }} />
      </div>
      <div className="card">
        <h2>Repeat it</h2>
        <p className="muted">With the request above, downloaded as <code>{search.id}.json</code>:</p>
        <pre>{`nas search create --file ${search.id}.json --wait`}</pre>
        <pre>{`curl -H "Authorization: Bearer $NAS_API_KEY" -H 'Content-Type: application/json' \\\n  ${window.location.origin}/v1/searches -d @${search.id}.json`}</pre>
      </div>
    </>
  );
}
