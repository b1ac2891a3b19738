// Where accuracies come from: a supernet trained for this search, or one that is there already.
import { useGet } from "../api";
import { duration, time } from "../format";
import { FieldNote } from "../problem";
import type { FieldProblem, Methods, Page, Space, Supernet } from "../types";
import type { Draft } from "./draft";
import { MethodSection } from "./method_section";

export function EvaluatorSection({ draft, edit, methods, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; methods: Methods; problems: FieldProblem[] }) {
  const supernets = useGet<Page<Supernet>>("/v1/supernets?page_size=200").data?.items ?? [];
  const spaces = useGet<Page<Space>>("/v1/search-spaces?page_size=500").data?.items ?? [];
  const nameOf = (id: string) => spaces.find((space) => space.id === id)?.name;
  // A supernet belongs to a space bound to a data set: the family's name and the data set tell which may fit.
  const fitting = supernets.filter((one) => one.state === "ready" && one.dataset_id === draft.dataset && (draft.source === "document" || nameOf(one.space_id) === nameOf(draft.space)));
  return (
    <section className="card" aria-label="supernet">
      <h2>Supernet</h2>
      <div className="row" role="radiogroup" aria-label="where the supernet comes from">
        <label className="inline"><input type="radio" name="evaluator" checked={draft.evaluator === "train"} onChange={() => edit({ evaluator: "train" })} />Train one (an equal one is shared)</label>
        <label className="inline"><input type="radio" name="evaluator" checked={draft.evaluator === "reuse"} onChange={() => edit({ evaluator: "reuse", supernet: draft.supernet || (fitting[0]?.id ?? "") })} />Reuse one ({fitting.length} fit)</label>
      </div>
      {draft.evaluator === "train"
        ? <MethodSection label="Training recipe" methods={methods.supernet_recipes} value={draft.recipe} onChange={(recipe) => edit({ recipe })} pointer="/evaluator/recipe" problems={problems} />
        : (
          <label>Trained supernet
            <select aria-label="Trained supernet" value={draft.supernet} onChange={(event) => edit({ supernet: event.target.value })}>
              {fitting.length === 0 && <option value="">none for this space and data set</option>}
              {fitting.map((one) => <option key={one.id} value={one.id}>{String(one.recipe.name)} · seed {one.seed} · trained in {duration(one.train_s)} · {time(one.ready_at)}</option>)}
            </select>
            <FieldNote problems={problems} pointer="/evaluator/supernet_id" />
          </label>
        )}
      <FieldNote problems={problems} pointer="/evaluator" />
    </section>
  );
}
