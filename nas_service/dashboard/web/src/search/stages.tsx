// A network stage by stage: its layers with what each costs, equal parts in a row drawn once.
import { count, percent } from "../format";
import type { Architecture } from "../types";

type Node = Architecture["nodes"][number];
interface Part { name: string; nodes: Node[]; copies: number }
interface Stage { name: string; parts: Part[]; nodes: Node[] }
const SHOWN_PARAMS = ["kernel", "out", "mid", "heads", "features", "operation", "ratio", "stride"];
const SHOWN = 4;

// `stage0.cell1.e01.op` belongs to `stage0.cell1`, `a0.node1.add` to `a0`.
export function partOf(key: string): string {
  const parts = key.split(".");
  return parts.slice(0, parts.length > 2 && /\d$/.test(parts[1]!) && !/^node/.test(parts[1]!) ? 2 : 1).join(".");
}

const alike = (part: Part): string => JSON.stringify(part.nodes.map((node) => [node.key.slice(part.name.length), node.block, node.params, node.out_shape]));

function stagesOf(nodes: Node[]): Stage[] {
  const stages: Stage[] = [];
  for (const node of nodes) {
    const [name, ...inner] = node.key.split(".");
    const own = partOf(node.key);
    let stage = stages[stages.length - 1];
    if (stage === undefined || inner.length === 0 || stage.name !== name) stages.push((stage = { name: name!, parts: [], nodes: [] }));
    stage.nodes.push(node);
    const part = stage.parts[stage.parts.length - 1];
    if (part?.name === own) part.nodes.push(node);
    else stage.parts.push({ name: own, nodes: [node], copies: 1 });
  }
  for (const stage of stages) {
    stage.parts = stage.parts.reduce<Part[]>((kept, part) => {
      const last = kept[kept.length - 1];
      if (last && alike(last) === alike(part)) last.copies += 1;
      else kept.push(part);
      return kept;
    }, []);
  }
  return stages;
}

// Sizes as one says them: 16 × 8 × 8, 64 tokens × 128, 10.
function shapeOf(shape: Record<string, unknown>): string {
  const { kind, ...sizes } = shape;
  if (kind === "tokens") return `${String(sizes.length)} tokens × ${String(sizes.features)}`;
  return Object.values(sizes).join(" × ");
}

function paramsOf(node: Node): string {
  const shown = SHOWN_PARAMS.filter((name) => name in node.params && !(name === "stride" && node.params[name] === 1));
  return shown.slice(0, SHOWN).map((name) => `${name} ${String(node.params[name])}`).join(" · ");
}

// What costs nothing (an identity, a sum) takes little room.
function Layer({ node, most, tied }: { node: Node; most: number; tied: boolean }) {
  const hint = `${node.key}: ${JSON.stringify(node.params)} → ${shapeOf(node.out_shape)}`;
  if (node.macs === 0 && node.params_count === 0) return <span className="layer free" title={hint}>{node.block}</span>;
  return (
    <div className="layer" title={hint}>
      <b>{node.block}</b> {paramsOf(node)}
      <div className="bar" style={{ width: `${(100 * node.macs) / most}%` }} />
      <span className="muted">{count(node.macs)} MACs · {tied ? "weights shared with the first" : `${count(node.params_count)} params`}</span>
    </div>
  );
}

export function Stages({ nodes, most, total }: { nodes: Node[]; most: number; total: number }) {
  const first = new Map<string, Node>();
  for (const node of nodes) if (!first.has(node.key)) first.set(node.key, node);
  return (
    <div className="stages" tabIndex={0}>
      {stagesOf(nodes).map((stage, index) => {
        const macs = stage.nodes.reduce((sum, node) => sum + node.macs, 0);
        return (
          <div className="stage" key={index}>
            <div className="row"><b>{stage.name}</b><span className="space" /><span className="muted">{shapeOf(stage.nodes[stage.nodes.length - 1]!.out_shape)}</span></div>
            {stage.nodes.length > 1 && <div className="muted small">{count(macs)} MACs, {percent(macs / Math.max(1, total))}</div>}
            {stage.parts.map((part) => (
              <div key={part.name} className={part.copies > 1 ? "copies" : ""}>
                {part.copies > 1 && <span className="tag">{part.copies} × this</span>}
                {part.nodes.map((node, place) => <Layer key={place} node={node} most={most} tied={first.get(node.key) !== node} />)}
              </div>
            ))}
          </div>
        );
      })}
    </div>
  );
}
