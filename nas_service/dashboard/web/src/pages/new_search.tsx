// Starts a search: every choice with what it means beside it, the plan next to the form, faults at their fields.
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, type FormEvent } from "react";
import { useLocation, useSearchParams } from "wouter";
import { post, useGet } from "../api";
import { DatasetSection } from "../new_search/dataset_section";
import { CopyButton } from "../copy_button";
import { adapted, draftOf, EMPTY, requestOf, type Draft } from "../new_search/draft";
import { EvaluatorSection } from "../new_search/evaluator_section";
import { MethodSection } from "../new_search/method_section";
import { ObjectivesSection, type Metric } from "../new_search/objectives_section";
import { PlanPanel } from "../new_search/plan_panel";
import { labelsOf, SpaceSection } from "../new_search/space_section";
import { metricsOfTable, TableSection } from "../new_search/table_section";
import { FieldNote, Loading, ProblemNote, problemsOf } from "../problem";
import type { Dataset, LookupTable, Methods, Page, Plan, Search, Space, SpaceDetail, SpaceProfile } from "../types";

const PLAN_MS = 400;
const FAVOURITE = "digits-mobile";

export function NewSearch() {
  const [params] = useSearchParams();
  const from = params.get("from");
  const methods = useGet<Methods>("/v1/methods", { fixed: true });
  const origin = useGet<Search>(from && `/v1/searches/${from}`, { fixed: true });
  const spaces = useGet<Page<Space>>("/v1/search-spaces?page_size=500");
  const datasets = useGet<Page<Dataset>>("/v1/datasets?page_size=200");
  const tables = useGet<Page<LookupTable>>("/v1/tables?page_size=200");
  const labels = labelsOf(spaces.data?.items ?? []);
  const first = origin.data?.space_id ?? [...labels].find(([, label]) => label === FAVOURITE)?.[0] ?? [...labels.keys()][0];
  // The form is shown with its first family, so that nothing in it moves afterwards.
  const detail = useGet<SpaceDetail>(first ? `/v1/search-spaces/${first}` : null, { fixed: true });
  const profile = useGet<SpaceProfile>(first ? `/v1/search-spaces/${first}/profile` : null, { fixed: true });
  const error = tables.error ?? methods.error ?? origin.error ?? spaces.error ?? datasets.error;
  if (error) return <main><ProblemNote error={error} /></main>;
  if (!methods.data || !spaces.data || !datasets.data || !tables.data || (from && !origin.data) || detail.isLoading || profile.isLoading) return <main><Loading what="what can be chosen" /></main>;
  if (datasets.data.items.length === 0) return <main><div className="card">There is no data set yet. An operator adds one: <pre>nas data add pets ./pets --root .</pre></div></main>;
  const blank = { ...EMPTY, space: first ?? "", dataset: datasets.data.items[0]!.id };
  const start = from && origin.data ? draftOf(origin.data, methods.data) : { ...blank, ...adapted(blank, detail.data?.task, datasets.data.items) };
  return <SearchForm key={from ?? ""} start={start} methods={methods.data} tables={tables.data.items} spaces={spaces.data.items} datasets={datasets.data.items} />;
}

function SearchForm({ start, methods, tables, spaces, datasets }: { start: Draft; methods: Methods; tables: LookupTable[]; spaces: Space[]; datasets: Dataset[] }) {
  const [draft, setDraft] = useState(start);
  const taskOf = ({ source, document, space }: Draft) =>
    source === "document" ? (document?.task as { kind?: string } | undefined)?.kind : spaces.find((one) => one.id === space)?.task;
  const edit = (change: Partial<Draft>) =>
    setDraft((old) => {
      const next = { ...old, ...change };
      return change.space === undefined ? next : { ...next, ...adapted(next, taskOf(next), datasets) };
    });
  const [, go] = useLocation();
  const [failure, setFailure] = useState<Error | null>(null);
  const [sending, setSending] = useState(false);
  const request = requestOf(draft);
  const [settled, setSettled] = useState(request);
  const text = JSON.stringify(request);
  useEffect(() => {
    setFailure(null);
    const timer = window.setTimeout(() => setSettled(request), PLAN_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  const fromTable = draft.evaluator === "table";
  const table = tables.find((one) => one.id === draft.table || one.name === draft.table);
  const metrics = fromTable ? metricsOfTable(table, methods) : (methods.metrics as unknown as Metric[]);
  const ready = fromTable || draft.source === "stored" || draft.document !== null;
  const plan = useQuery<Plan, Error>({
    queryKey: ["plan", settled],
    queryFn: () => post<Plan>("/v1/search-plans", settled),
    enabled: ready,
    retry: false,
    placeholderData: (previous) => previous,
  });
  const stale = plan.isFetching || JSON.stringify(settled) !== text;
  const problems = problemsOf(failure ?? plan.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setSending(true);
    post<Search>("/v1/searches", request).then((search) => go(`/searches/${search.id}`), setFailure).finally(() => setSending(false));
  };
  const field = (label: string, name: "trials" | "wall_s" | "finalists" | "seeds" | "parallelism" | "seed", pointer: string, help: string) => (
    <label>{label}
      <input type="number" min="0" step="any" aria-label={label} value={draft[name]} placeholder={name === "wall_s" ? "no limit" : ""} onChange={(event) => edit({ [name]: event.target.value })} />
      <FieldNote problems={problems} pointer={pointer} />
      <small>{help}</small>
    </label>
  );
  return (
    <main>
      <h1>New search</h1>
      <form className="sided" onSubmit={submit} noValidate>
        <div>
          <section className="card" aria-label="name">
            <label>Name<input value={draft.name} aria-label="Name" onChange={(event) => edit({ name: event.target.value })} /><FieldNote problems={problems} pointer="/name" /></label>
          </section>
          {(fromTable || tables.length > 0) && <TableSection draft={draft} edit={edit} tables={tables} table={table} methods={methods} problems={problems} />}
          {!fromTable && <SpaceSection draft={draft} edit={edit} problems={problems} />}
          {!fromTable && <DatasetSection draft={draft} edit={edit} task={taskOf(draft)} problems={problems} />}
          <ObjectivesSection draft={draft} edit={edit} metrics={metrics} problems={problems} />
          {!fromTable && <EvaluatorSection draft={draft} edit={edit} methods={methods} problems={problems} />}
          <section className="card" aria-label="strategy">
            <h2>Strategy and budget</h2>
            <MethodSection label="Strategy" methods={methods.strategies} value={draft.strategy} onChange={(strategy) => edit({ strategy })} pointer="/strategy" problems={problems} />
            <div className="fields">
              {field("Trials", "trials", "/budget/trials", "Evaluations of the search phase.")}
              {field("Seconds at most", "wall_s", "/budget/wall_s", "Of the search phase; empty: no limit.")}
              {field("Parallelism", "parallelism", "/parallelism", "Trials at once; part of what a seed repeats.")}
              {field("Seed", "seed", "/seed", "The same seed gives the same architectures.")}
            </div>
          </section>
          {!fromTable && <section className="card" aria-label="finalists">
            <h2>Finalists</h2>
            <p className="muted">Members of the front that are scored again on the selection split, measured on the device, and can be exported.</p>
            <div className="fields">
              {field("Finalists", "finalists", "/finalists/count", "How many.")}
              <label>Weights
                <select value={draft.mode} onChange={(event) => edit({ mode: event.target.value })}><option value="inherit">the supernet's</option><option value="finetune">fine-tuned from the supernet's</option><option value="retrain">trained alone</option></select>
                <FieldNote problems={problems} pointer="/finalists" />
              </label>
              {draft.mode !== "inherit" && field("Seeds of training", "seeds", "/finalists/seeds", "Each finalist is trained this often.")}
            </div>
            {draft.mode !== "inherit" && <MethodSection label="Recipe for finalists" methods={methods.network_recipes} value={draft.finalist_recipe} onChange={(finalist_recipe) => edit({ finalist_recipe })} pointer="/finalists/recipe" problems={problems} />}
          </section>}
          <details className="card">
            <summary>The request as JSON</summary>
            <p><CopyButton text={JSON.stringify(request, null, 2)}>Copy</CopyButton></p>
            <pre>{JSON.stringify(request, null, 2)}</pre>
          </details>
        </div>
        <aside className="card">
          <PlanPanel plan={ready ? plan.data : undefined} error={failure ?? plan.error} stale={stale} />
          <p><button className="primary wide" disabled={sending || !ready}>Start search</button></p>
        </aside>
      </form>
    </main>
  );
}
