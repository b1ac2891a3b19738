// Architectures: what each is and costs, and, for up to four side by side, the choices that differ.
import { useQueries } from "@tanstack/react-query";
import { get } from "../api";
import { CopyButton } from "../copy_button";
import { metric, RATIOS, title } from "../format";
import { metricsOf, valueOf } from "../metrics";
import { Loading, ProblemNote } from "../problem";
import type { Architecture, Search, TrialDetail } from "../types";
import { CellGraphs } from "./cell_graph";
import { ExportButton } from "./export_button";
import { useSelection } from "./selection";
import { Stages } from "./stages";

// From here on a factor says more than a percentage.
const FACTOR = 2;

interface Found { trial: TrialDetail; architecture: Architecture }

export function ArchitectureView({ search }: { search: Search }) {
  const { selected, pins, togglePin } = useSelection();
  const ids = [...new Set([...(selected ? [selected] : []), ...pins])];
  const answers = useQueries({
    queries: ids.map((id) => ({
      queryKey: [`/v1/trials/${id}`, "with architecture"],
      queryFn: async (): Promise<Found> => {
        const trial = await get<TrialDetail>(`/v1/trials/${id}`);
        return { trial, architecture: await get<Architecture>(`/v1/architectures/${trial.architecture_hash}`) };
      },
      staleTime: 60_000,
    })),
  });
  if (ids.length === 0) return <div className="card muted">Choose a point of the front or a row of the trials; pin several to compare them here.</div>;
  const error = answers.find((answer) => answer.error)?.error;
  if (error) return <ProblemNote error={error} />;
  const found = answers.flatMap((answer) => answer.data ?? []);
  if (found.length === 0) return <Loading what="the architecture" />;
  const names = [...new Set([...metricsOf(search, found.map((one) => one.trial)), "activations", "peak_activation_bytes"])];
  const first = found[0]!;
  return (
    <>
      {found.length > 1 ? <Differences found={found} names={names} pins={pins} onUnpin={togglePin} /> : (
        <div className="tiles">
          {names.map((name) => <div className="tile" key={name}>{title(name)}<b>{metric(name, valueOf(first.trial, name) ?? first.architecture.costs[name])}</b></div>)}
        </div>
      )}
      {found.map((one) => <Blocks key={one.trial.id} found={one} most={Math.max(1, ...found.flatMap((other) => other.architecture.nodes.map((node) => node.macs)))} searchId={search.id} trained={search.spec.evaluator.kind === "supernet"} />)}
      {found.length === 1 && (
        <div className="card">
          <div className="row"><h2>Choices</h2><span className="space" /><CopyButton text={JSON.stringify(first.architecture.choices, null, 2)}>Copy JSON</CopyButton></div>
          <dl className="facts">{Object.entries(first.architecture.choices).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{String(value)}</dd></div>)}</dl>
        </div>
      )}
    </>
  );
}

function Differences({ found, names, pins, onUnpin }: { found: Found[]; names: string[]; pins: string[]; onUnpin: (id: string) => void }) {
  const genes = [...new Set(found.flatMap((one) => Object.keys(one.architecture.choices)))];
  const shown = (one: Found, gene: string) => (gene in one.architecture.choices ? String(one.architecture.choices[gene]) : "off");
  const differing = genes.filter((gene) => new Set(found.map((one) => shown(one, gene))).size > 1);
  const base = found[0]!.trial;
  return (
    <div className="card scroll" tabIndex={0}>
      <h2>{differing.length} of {genes.length} choices differ</h2>
      <table>
        <thead>
          <tr><th>Trial</th>{found.map((one) => <th key={one.trial.id} className="number">{one.trial.number}{pins.includes(one.trial.id) && <> <button onClick={() => onUnpin(one.trial.id)} aria-label={`unpin trial ${one.trial.number}`}>✕</button></>}</th>)}</tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <td>{title(name)}</td>
              {found.map((one, place) => {
                const [own, reference] = [valueOf(one.trial, name), valueOf(base, name)];
                const sign = own != null && reference != null && own < reference ? "−" : "+";
                const delta = place === 0 || own == null || !reference ? ""
                  : RATIOS.includes(name) ? ` (${sign}${Math.abs(100 * (own - reference)).toFixed(2)} points)`
                  : own >= FACTOR * reference ? ` (${(own / reference).toFixed(1)} ×)`
                  : ` (${sign}${Math.abs(100 * (own / reference - 1)).toFixed(1)} %)`;
                return <td key={one.trial.id} className="number">{metric(name, own ?? one.architecture.costs[name])}<span className="muted">{delta}</span></td>;
              })}
            </tr>
          ))}
          {differing.map((gene) => (
            <tr key={gene}>
              <td><code>{gene}</code></td>
              {found.map((one) => <td key={one.trial.id} className={`number ${shown(one, gene) === shown(found[0]!, gene) ? "" : "differs"}`}>{shown(one, gene)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Blocks({ found: { trial, architecture }, most, searchId, trained }: { found: Found; most: number; searchId: string; trained: boolean }) {
  return (
    <div className="card">
      <div className="row">
        <h2>Trial {trial.number} <span className="muted">{trial.stage} · <code>{trial.architecture_hash}</code></span></h2>
        <span className="space" />
        {trained && <ExportButton trialId={trial.id} searchId={searchId} />}
      </div>
      <CellGraphs nodes={architecture.nodes} />
      <Stages nodes={architecture.nodes} most={most} total={architecture.costs.macs ?? 0} />
    </div>
  );
}
