// A look at a data set: images as a sheet, texts as they are read by the network, rows as a table.
import { useState } from "react";
import { useGet } from "../api";
import { figure } from "../format";
import { ProblemNote } from "../problem";
import type { Dataset, Page, Sample } from "../types";

const SPLITS = ["train", "calibrate", "search", "select", "test"];
const SHOWN = 60;

export function DatasetSamples({ dataset }: { dataset: Dataset }) {
  const [split, setSplit] = useState("train");
  const isImage = dataset.manifest.kind === "image";
  const query = `split=${split}&count=${SHOWN}`;
  const { data, error } = useGet<Page<Sample>>(isImage ? null : `/v1/datasets/${dataset.id}/samples?${query}`, { fixed: true });
  const label = `samples of the split ${split} of ${dataset.name}, classes in turn`;
  return (
    <figure>
      <figcaption className="row">
        <label className="inline">Samples of<select value={split} onChange={(event) => setSplit(event.target.value)}>{SPLITS.map((name) => <option key={name}>{name}</option>)}</select></label>
      </figcaption>
      <ProblemNote error={error} />
      {isImage ? <img className="preview" src={`/v1/datasets/${dataset.id}/preview?${query}`} alt={label} /> : (
        <div className="preview scroll" role="group" aria-label={label} tabIndex={0}>
          {dataset.manifest.kind === "text" ? <Texts samples={data?.items ?? []} /> : <Rows samples={data?.items ?? []} names={((dataset.manifest.source ?? {}) as { features?: string[] }).features} />}
        </div>
      )}
    </figure>
  );
}

const Texts = ({ samples }: { samples: Sample[] }) => (
  <ul className="texts">{samples.map(({ label, text }, place) => <li key={place}>{label !== null && <span className="chip">{label}</span>} {text}</li>)}</ul>
);

function Rows({ samples, names }: { samples: Sample[]; names?: string[] }) {
  const first = samples[0]?.values ?? [];
  return (
    <table>
      <thead className="sticky"><tr>{samples[0]?.label != null && <th>class</th>}{first.map((_, place) => <th key={place} className="number">{names?.[place] ?? place}</th>)}</tr></thead>
      <tbody>{samples.map(({ label, values }, place) => <tr key={place}>{label !== null && <td>{label}</td>}{values?.map((value, column) => <td key={column} className="number">{figure(value)}</td>)}</tr>)}</tbody>
    </table>
  );
}
