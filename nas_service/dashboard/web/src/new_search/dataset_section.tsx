// Which data the search learns from: its splits, classes and a look at it.
import { useGet } from "../api";
import { FieldNote, ProblemNote } from "../problem";
import type { Dataset, FieldProblem, Page } from "../types";
import { DatasetSamples } from "./dataset_samples";
import { fits, type Draft } from "./draft";

interface Manifest { kind?: string; classes?: string[]; num_samples?: number; splits?: Record<string, number>; input?: Record<string, unknown>; tokenizer?: Record<string, unknown>; duplicates?: Record<string, number> }

function inputOf({ kind, input = {}, tokenizer }: Manifest): string {
  if (kind === "image") return `images, ${["channels", "height", "width"].map((name) => String(input[name])).join(" × ")}`;
  if (kind === "text") return `text, ${String(input.length)} tokens of ${Number(input.vocabulary).toLocaleString("en")} known ones (${String(tokenizer?.kind)})`;
  return `rows of ${String(input.features)} numbers`;
}

export function DatasetSection({ draft, edit, task, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; task: string | undefined; problems: FieldProblem[] }) {
  const datasets = useGet<Page<Dataset>>("/v1/datasets?page_size=200");
  const items = datasets.data?.items ?? [];
  const dataset = items.find((one) => one.id === draft.dataset);
  const facts = (dataset?.manifest ?? {}) as Manifest;
  const groups = [["Data this family reads", items.filter((one) => fits(one, task))], ["Other data", items.filter((one) => !fits(one, task))]] as const;
  return (
    <section className="card" aria-label="data set">
      <h2>Data set</h2>
      <label>Data
        <select aria-label="Data set" value={draft.dataset} onChange={(event) => edit({ dataset: event.target.value })}>
          {groups.map(([name, own]) => own.length > 0 && <optgroup key={name} label={name}>{own.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}</optgroup>)}
        </select>
        <FieldNote problems={problems} pointer="/dataset" />
      </label>
      <ProblemNote error={datasets.error} />
      <p className="muted">An operator adds one with <code>nas data add NAME PATH</code>.</p>
      {dataset && (
        <div className="beside">
          <dl className="facts">
            <div><dt>samples</dt><dd>{facts.num_samples?.toLocaleString("en")}</dd></div>
            <div><dt>classes</dt><dd>{facts.classes?.length ? `${facts.classes.length}: ${facts.classes.slice(0, 12).join(", ")}${facts.classes.length > 12 ? " …" : ""}` : "none: the next token is learned"}</dd></div>
            <div><dt>input</dt><dd>{inputOf(facts)}</dd></div>
            <div><dt>splits</dt><dd>{Object.entries(facts.splits ?? {}).map(([name, size]) => `${name} ${size.toLocaleString("en")}`).join(", ")}</dd></div>
            <div><dt>duplicates</dt><dd>{facts.duplicates?.num_duplicates ?? "–"}{facts.duplicates?.num_moved ? `, ${facts.duplicates.num_moved} moved to one split` : ""}</dd></div>
            <div><dt>fingerprint</dt><dd><code>{dataset.fingerprint.slice(0, 16)}</code></dd></div>
          </dl>
          <DatasetSamples key={dataset.id} dataset={dataset} />
        </div>
      )}
    </section>
  );
}
