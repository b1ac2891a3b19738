// Which data the search learns from: its splits, classes and a look at it.
import { useState } from "react";
import { useGet } from "../api";
import { FieldNote, ProblemNote } from "../problem";
import type { Dataset, FieldProblem, Page } from "../types";
import type { Draft } from "./draft";

const SPLITS = ["train", "calibrate", "search", "select", "test"];
interface Manifest { kind?: string; classes?: string[]; num_samples?: number; splits?: Record<string, number>; input?: Record<string, unknown>; duplicates?: Record<string, number> }

export function DatasetSection({ draft, edit, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; problems: FieldProblem[] }) {
  const datasets = useGet<Page<Dataset>>("/v1/datasets?page_size=200");
  const [split, setSplit] = useState("train");
  const [failed, setFailed] = useState(false);
  const dataset = datasets.data?.items.find((one) => one.id === draft.dataset);
  const facts = (dataset?.manifest ?? {}) as Manifest;
  return (
    <section className="card" aria-label="data set">
      <h2>Data set</h2>
      <label>Data
        <select aria-label="Data set" value={draft.dataset} onChange={(event) => { setFailed(false); edit({ dataset: event.target.value }); }}>
          {datasets.data?.items.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}
        </select>
        <FieldNote problems={problems} pointer="/dataset" />
      </label>
      <ProblemNote error={datasets.error} />
      <p className="muted">An operator adds one with <code>nas data add NAME PATH</code>.</p>
      {dataset && (
        <div className="beside">
          <dl className="facts">
            <div><dt>samples</dt><dd>{facts.num_samples}</dd></div>
            <div><dt>classes</dt><dd>{facts.classes ? `${facts.classes.length}: ${facts.classes.slice(0, 12).join(", ")}${facts.classes.length > 12 ? " …" : ""}` : "–"}</dd></div>
            <div><dt>input</dt><dd>{facts.kind} {facts.input && Object.entries(facts.input).map(([name, value]) => `${name} ${String(value)}`).join(", ")}</dd></div>
            <div><dt>splits</dt><dd>{Object.entries(facts.splits ?? {}).map(([name, size]) => `${name} ${size}`).join(", ")}</dd></div>
            <div><dt>duplicates</dt><dd>{facts.duplicates?.num_duplicates ?? "–"}{facts.duplicates?.num_moved ? `, ${facts.duplicates.num_moved} moved to one split` : ""}</dd></div>
            <div><dt>fingerprint</dt><dd><code>{dataset.fingerprint.slice(0, 16)}</code></dd></div>
          </dl>
          <figure>
            <figcaption className="row">
              <label className="inline">Samples of<select value={split} onChange={(event) => setSplit(event.target.value)}>{SPLITS.map((name) => <option key={name}>{name}</option>)}</select></label>
            </figcaption>
            {failed ? <p className="muted">There is no picture of this data.</p> : <img className="preview" src={`/v1/datasets/${dataset.id}/preview?split=${split}&count=60`} alt={`samples of the split ${split} of ${dataset.name}, classes in turn`} onError={() => setFailed(true)} />}
          </figure>
        </div>
      )}
    </section>
  );
}
