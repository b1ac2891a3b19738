// One architecture: its blocks stage by stage with their choices, and what each block costs.
import { useGet } from "../api";
import { count, metric } from "../format";
import { ProblemNote } from "../problem";
import type { Architecture, Trial } from "../types";
import { METRICS, valueOf } from "./pareto_chart";

function stageOf(key: string): string {
  const parts = key.split(".");
  return parts.length > 1 ? parts[0]! : "";
}

export function ArchitectureView({ trialId }: { trialId: string | null }) {
  const trial = useGet<Trial>(trialId && `/v1/trials/${trialId}`);
  const architecture = useGet<Architecture>(trial.data ? `/v1/architectures/${trial.data.architecture_hash}` : null);
  if (!trialId) return <div className="card">Choose a point of the front or a row of the trials.</div>;
  if (!trial.data) return <ProblemNote error={trial.error} />;
  const nodes = architecture.data?.nodes ?? [];
  const most = Math.max(1, ...nodes.map((node) => node.macs));
  const stages: { name: string; nodes: typeof nodes }[] = [];
  for (const node of nodes) {
    const name = stageOf(node.key);
    const open = stages[stages.length - 1];
    if (open && name && open.name === name) open.nodes.push(node);
    else stages.push({ name, nodes: [node] });
  }
  return (
    <>
      <div className="tiles">
        {METRICS.map((name) => <div className="tile" key={name}>{name}<b>{metric(name, valueOf(trial.data!, name))}</b></div>)}
      </div>
      <ProblemNote error={architecture.error} />
      <div className="card">
        <h2>Blocks <span className="muted">trial {trial.data.number} · <code>{trial.data.architecture_hash}</code></span></h2>
        <div className="stages">
          {stages.map((stage, index) => (
            <div className="stage" key={index}>
              <b>{stage.name || stage.nodes[0]!.key}</b>
              {stage.nodes.map((node) => (
                <div className="layer" key={node.key} title={`${node.key}: ${JSON.stringify(node.params)}`}>
                  {node.block} {["kernel", "mid", "out", "stride"].filter((name) => name in node.params).map((name) => `${name} ${String(node.params[name])}`).join(" · ")}
                  <div className="bar" style={{ width: `${(100 * node.macs) / most}%` }} />
                  <span className="muted">{count(node.macs)} MACs · {count(node.params_count)} params</span>
                </div>
              ))}
            </div>
          ))}
        </div>
      </div>
      <div className="card">
        <div className="row"><h2>Choices</h2><span className="space" /><button onClick={() => void navigator.clipboard.writeText(JSON.stringify(architecture.data?.choices, null, 2))}>Copy JSON</button></div>
        <pre>{JSON.stringify(architecture.data?.choices, null, 2)}</pre>
      </div>
    </>
  );
}
