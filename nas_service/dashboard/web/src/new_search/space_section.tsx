// Which family of networks is searched: a stored one or a document written here; its size, costs and structure.
import { useState } from "react";
import { useGet } from "../api";
import { bigCount, metric, title } from "../format";
import { FieldNote, ProblemNote } from "../problem";
import type { FieldProblem, Gene, Json, Page, Space, SpaceCheck, SpaceDetail, SpaceProfile } from "../types";
import { DocumentEditor } from "./document_editor";
import type { Draft } from "./draft";
import { SpaceDrawing } from "./space_drawing";

// Spaces of one name: the oldest is the family itself, later ones are bound to a data set or edited.
export function labelsOf(spaces: Space[]): Map<string, string> {
  const labels = new Map<string, string>();
  const seen = new Set<string>();
  for (const space of [...spaces].sort((a, b) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id))) {
    labels.set(space.id, seen.has(space.name) ? `${space.name} (bound or edited, ${space.id.slice(0, 10)})` : space.name);
    seen.add(space.name);
  }
  return labels;
}

export function SpaceSection({ draft, edit, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; problems: FieldProblem[] }) {
  const spaces = useGet<Page<Space>>("/v1/search-spaces?page_size=500");
  const stored = useGet<SpaceDetail>(draft.space ? `/v1/search-spaces/${draft.space}` : null, { fixed: true });
  const profile = useGet<SpaceProfile>(draft.space && draft.source === "stored" ? `/v1/search-spaces/${draft.space}/profile` : null, { fixed: true });
  const [check, setCheck] = useState<SpaceCheck | null>(null);
  const labels = labelsOf(spaces.data?.items ?? []);
  const tasksOf = new Map(spaces.data?.items.map((space) => [space.id, space.task]));
  const tasks = [...new Set(tasksOf.values())].sort();
  const own = draft.source === "document";
  const shown: { genes: Gene[]; nodes: Json[] } | null | undefined = own ? check : stored.data?.id === draft.space ? stored.data : null;
  const size = own ? check : profile.data;
  return (
    <section className="card" aria-label="search space">
      <h2>Search space</h2>
      <div className="row low">
        <label>{own ? "Start from" : "Family"}
          <select aria-label="Search space" value={draft.space} disabled={own} onChange={(event) => edit({ space: event.target.value })}>
            {tasks.map((task) => <optgroup key={task} label={task.replaceAll("_", " ")}>{[...labels].filter(([id]) => tasksOf.get(id) === task).sort((a, b) => a[1].localeCompare(b[1])).map(([id, label]) => <option key={id} value={id}>{label}</option>)}</optgroup>)}
          </select>
          <FieldNote problems={problems} pointer="/space" /><FieldNote problems={problems} pointer="/space/id" />
        </label>
        <button type="button" onClick={() => { setCheck(null); edit({ source: own ? "stored" : "document", document: null }); }}>{own ? "Discard the document" : "Edit as document"}</button>
      </div>
      <ProblemNote error={spaces.error ?? stored.error} />
      {own && stored.data && <DocumentEditor key={draft.space} start={stored.data.document} onDocument={(document) => edit({ document })} onChecked={setCheck} />}
      {size && (
        <dl className="facts">
          <div><dt>architectures</dt><dd>{bigCount(size.cardinality)}</dd></div>
          <div><dt>choices</dt><dd>{size.num_genes}</dd></div>
          {Object.entries(size.costs).map(([name, range]) => <div key={name}><dt>{title(name)}</dt><dd>{metric(name, range.minimum)} to {metric(name, range.maximum)}, median {metric(name, range.median)}</dd></div>)}
        </dl>
      )}
      {shown && <SpaceDrawing genes={shown.genes} nodes={shown.nodes} />}
    </section>
  );
}
