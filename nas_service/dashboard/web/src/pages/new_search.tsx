// A form for the common search; its plan is shown before anything starts.
import { useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { post, useGet } from "../api";
import { ProblemNote } from "../problem";
import type { Dataset, Named, Page, Search, Space } from "../types";

interface Form { name: string; space: string; dataset: string; strategy: string; trials: number; seed: number; finalists: number; cost: string; device: string; max_latency_ms: string; recipe: string }

function request(form: Form): object {
  const objectives: object[] = [{ metric: "accuracy_top1" }];
  if (form.cost === "latency_ms") {
    const constraint = form.max_latency_ms ? { maximum: Number(form.max_latency_ms) } : null;
    objectives.push({ metric: "latency_ms", constraint, device: form.device });
  } else objectives.push({ metric: form.cost });
  return {
    name: form.name,
    space: { id: form.space },
    dataset: form.dataset,
    objectives,
    strategy: { name: form.strategy },
    budget: { trials: form.trials },
    finalists: { count: form.finalists },
    seed: form.seed,
    evaluator: form.recipe.trim() ? { recipe: { name: "sandwich", params: JSON.parse(form.recipe) } } : {},
  };
}

export function NewSearch() {
  const spaces = useGet<Page<Space>>("/v1/search-spaces?page_size=200");
  const datasets = useGet<Page<Dataset>>("/v1/datasets?page_size=200");
  const devices = useGet<Page<Named>>("/v1/devices?page_size=200");
  const [, go] = useLocation();
  const [error, setError] = useState<Error | null>(null);
  const [plan, setPlan] = useState<Record<string, unknown> | null>(null);
  const [edited, setEdited] = useState<Partial<Form>>({});
  const form: Form = {
    name: "my search", strategy: "nsga2", trials: 200, seed: 0, finalists: 8, cost: "macs", max_latency_ms: "", recipe: "",
    space: spaces.data?.items[0]?.id ?? "", dataset: datasets.data?.items[0]?.id ?? "", device: devices.data?.items[0]?.name ?? "",
    ...edited,
  };
  const edit = (change: Partial<Form>) => { setEdited({ ...edited, ...change }); setPlan(null); };
  const fail = (problem: Error) => setError(problem);
  const send = <T,>(path: string, then: (answer: T) => void) => {
    setError(null);
    try {
      post<T>(path, request(form)).then(then, fail);
    } catch (problem) {
      fail(problem as Error);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send<Search>("/v1/searches", (search) => go(`/searches/${search.id}`));
  };
  const preview = () => send<Record<string, unknown>>("/v1/search-plans", setPlan);
  return (
    <main>
      <h1>New search</h1>
      <form className="card" onSubmit={submit}>
        <div className="grid">
          <label>Name<input value={form.name} required onChange={(event) => edit({ name: event.target.value })} /></label>
          <label>Search space
            <select value={form.space} onChange={(event) => edit({ space: event.target.value })}>
              {spaces.data?.items.map((space) => <option key={space.id} value={space.id}>{space.name}</option>)}
            </select>
          </label>
          <label>Data set
            <select value={form.dataset} onChange={(event) => edit({ dataset: event.target.value })}>
              {datasets.data?.items.map((dataset) => <option key={dataset.id} value={dataset.id}>{dataset.name}</option>)}
            </select>
          </label>
          <label>Cost to minimise beside accuracy
            <select value={form.cost} onChange={(event) => edit({ cost: event.target.value })}>
              <option value="macs">multiply-accumulates</option>
              <option value="params">parameters</option>
              <option value="latency_ms">measured latency</option>
            </select>
          </label>
          {form.cost === "latency_ms" && <>
            <label>Device
              <select value={form.device} onChange={(event) => edit({ device: event.target.value })}>
                {devices.data?.items.map((device) => <option key={device.id}>{device.name}</option>)}
              </select>
            </label>
            <label>At most (ms)<input type="number" step="any" min="0" value={form.max_latency_ms} onChange={(event) => edit({ max_latency_ms: event.target.value })} /></label>
          </>}
          <label>Strategy
            <select value={form.strategy} onChange={(event) => edit({ strategy: event.target.value })}>
              {["auto", "nsga2", "random", "local_search", "aging_evolution", "surrogate"].map((name) => <option key={name}>{name}</option>)}
            </select>
          </label>
          <label>Trials<input type="number" min="1" value={form.trials} onChange={(event) => edit({ trials: Number(event.target.value) })} /></label>
          <label>Finalists<input type="number" min="1" value={form.finalists} onChange={(event) => edit({ finalists: Number(event.target.value) })} /></label>
          <label>Seed<input type="number" min="0" value={form.seed} onChange={(event) => edit({ seed: Number(event.target.value) })} /></label>
          <label>Training parameters (JSON, optional)
            <textarea rows={2} placeholder='{"num_epochs": 60}' value={form.recipe} onChange={(event) => edit({ recipe: event.target.value })} />
          </label>
        </div>
        <ProblemNote error={error ?? spaces.error ?? datasets.error} />
        <p className="row">
          <button type="button" onClick={preview}>Plan</button>
          <button className="primary">Start search</button>
        </p>
        {plan && <pre aria-label="plan">{JSON.stringify(plan, null, 2)}</pre>}
      </form>
    </main>
  );
}
