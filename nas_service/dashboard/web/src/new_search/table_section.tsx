// Where results come from: trained and measured here, or looked up in a table of architectures somebody has evaluated.
import { useGet } from "../api";
import { FieldNote } from "../problem";
import type { FieldProblem, Json, LookupTable, Methods, SpaceDetail } from "../types";
import { objective, type Draft } from "./draft";
import type { Metric } from "./objectives_section";
import { SpaceDrawing } from "./space_drawing";

interface TableMetric { name: string; goal: string; unit: string }
const metricsIn = (table: LookupTable | undefined): TableMetric[] => (table?.manifest.metrics ?? []) as TableMetric[];

// The table's own metrics, and the costs that every space knows.
export const metricsOfTable = (table: LookupTable | undefined, methods: Methods): Metric[] => [
  ...metricsIn(table).map((metric) => ({ ...metric, source: "table", help: "" })),
  ...(methods.metrics as unknown as Metric[]).filter((metric) => metric.source === "cost"),
];

export function TableSection({ draft, edit, tables, table, methods, problems }: { draft: Draft; edit: (change: Partial<Draft>) => void; tables: LookupTable[]; table: LookupTable | undefined; methods: Methods; problems: FieldProblem[] }) {
  const space = useGet<SpaceDetail>(draft.evaluator === "table" && table ? `/v1/search-spaces/${table.space_id}` : null, { fixed: true }).data;
  const take = (chosen: LookupTable | undefined) => {
    const names = new Set(metricsOfTable(chosen, methods).map((metric) => metric.name));
    const kept = draft.objectives.filter((item) => names.has(item.metric));
    const own = metricsIn(chosen);
    const cost = own.find((metric) => metric.goal === "minimize" && metric.name !== own[0]?.name) ?? { name: "macs" };
    edit({ evaluator: "table", table: chosen?.id ?? "", objectives: kept.length && kept.some((item) => own.some((metric) => metric.name === item.metric)) ? kept : [objective(own[0]?.name ?? "macs"), objective(cost.name)] });
  };
  const facts = (table?.manifest ?? {}) as Json;
  return (
    <section className="card" aria-label="results">
      <h2>Where results come from</h2>
      <div className="row" role="radiogroup" aria-label="where results come from">
        <label className="inline"><input type="radio" name="results" checked={draft.evaluator !== "table"} onChange={() => edit({ evaluator: "train", objectives: [objective("accuracy_top1"), objective("macs")] })} />Train and measure</label>
        <label className="inline"><input type="radio" name="results" checked={draft.evaluator === "table"} onChange={() => take(table ?? tables[0])} />Look them up in a table</label>
      </div>
      {draft.evaluator === "table" && (
        <>
          <div className="row">
            <label>Table<select aria-label="Table" value={table?.id ?? ""} onChange={(event) => take(tables.find((one) => one.id === event.target.value))}>{tables.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}</select></label>
            <label>Of several replicates<select value={draft.replicate} onChange={(event) => edit({ replicate: event.target.value })}><option value="mean">their mean</option><option value="draw">one drawn by the seed</option></select></label>
          </div>
          <FieldNote problems={problems} pointer="/evaluator" below />
          <dl className="facts">
            {["num_architectures", "fidelities", "replicates"].filter((name) => name in facts && !(Array.isArray(facts[name]) && (facts[name] as unknown[]).length < 2)).map((name) => <div key={name}><dt>{name.replace("num_", "")}</dt><dd>{Array.isArray(facts[name]) ? (facts[name] as unknown[]).join(", ") : Number(facts[name]).toLocaleString("en")}</dd></div>)}
            <div><dt>metrics</dt><dd>{metricsIn(table).length}</dd></div>
          </dl>
          {typeof facts.attribution === "string" && <p className="muted">{facts.attribution}</p>}
          {space && <SpaceDrawing genes={space.genes} nodes={space.nodes} />}
        </>
      )}
    </section>
  );
}
