// A search space as a picture: blocks in order with what may vary in each, choices as branches, repeats as stacks.
import { GraphPicture, type PictureNode } from "../graph_picture";
import type { Gene, Json } from "../types";

type Node = Json & { kind: string };
type Wired = Node & { inputs: { places: number[]; gene: string | null }[]; optional: boolean };

export function SpaceDrawing({ genes, nodes }: { genes: Gene[]; nodes: Json[] }) {
  return (
    <>
      <div className="drawing" role="group" aria-label="structure of the search space" tabIndex={0}><Nodes nodes={nodes as Node[]} /></div>
      <details>
        <summary>{genes.length} choices</summary>
        <div className="scroll" tabIndex={0}>
          <table>
            <thead><tr><th>Choice</th><th>Options</th><th>Exists</th></tr></thead>
            <tbody>{genes.map((gene) => <tr key={gene.name}><td><code>{gene.name}</code></td><td className="wrap">{gene.options.map(String).join(" · ")}</td><td>{gene.conditional ? "sometimes" : "always"}</td></tr>)}</tbody>
          </table>
        </div>
      </details>
    </>
  );
}

// Structure without names: two copies of a cell are one picture.
const shape = (nodes: unknown): string => JSON.stringify(nodes, (name, value) => (name === "key" || name === "gene" || name === "params" ? undefined : value));

const varyingOf = (node: Node) => Object.entries((node.params ?? {}) as Record<string, unknown[]>).filter(([, values]) => values.length > 1);

// What has been drawn a moment ago (the same cell in the next stage) is folded.
function Nodes({ nodes }: { nodes: Node[] }) {
  const drawn = new Set<string>();
  return nodes.map((node, place) => {
    if (node.kind === "block" || node.kind === "choice") return <One key={place} node={node} />;
    const own = shape(node);
    if (drawn.has(own)) return <details key={place} className="node group"><summary>{node.kind === "repeat" ? `${(node.iterations as Node[][]).length} × as above` : "as above"}</summary><One node={node} /></details>;
    drawn.add(own);
    return <One key={place} node={node} />;
  });
}

function One({ node }: { node: Node }) {
  switch (node.kind) {
    case "block": {
      const varying = varyingOf(node);
      return (
        <div className="node block" title={`${String(node.key)}: ${JSON.stringify(node.params)}`}>
          <b>{String(node.block)}</b> <span className="muted">{String(node.key).split(".").slice(-2).join(".")}</span>
          {varying.map(([name, values]) => <div key={name}><span className="muted">{name}</span> {values.length > 6 ? `${values[0]} … ${values[values.length - 1]}` : values.join(" · ")}</div>)}
        </div>
      );
    }
    case "repeat": {
      const iterations = node.iterations as Node[][];
      if (iterations.length === 0) return null;
      const always = Number(node.always);
      const many = always < iterations.length ? `${always} to ${iterations.length}` : String(iterations.length);
      const same = iterations.length > 1 && iterations.every((one) => shape(one) === shape(iterations[0]));
      const open = same ? iterations.slice(0, 1) : iterations.slice(0, 4);
      return (
        <div className="node group">
          <span className="tag">{many} × {same ? "like this" : "one after the other"}</span>
          {open.map((body, place) => <div key={place} className={place >= always ? "optional" : ""}><Nodes nodes={body} /></div>)}
          {open.length < iterations.length && <details><summary>{iterations.length - open.length} more</summary>{iterations.slice(open.length).map((body, place) => <div key={place} className={place + open.length >= always ? "optional" : ""}><Nodes nodes={body} /></div>)}</details>}
        </div>
      );
    }
    case "choice": {
      const branches = node.branches as { label: unknown; nodes: Node[] }[];
      // Branches of one fixed block each say all by their label.
      if (branches.every((branch) => branch.nodes.length <= 1 && branch.nodes.every((one) => one.kind === "block" && varyingOf(one).length === 0)))
        return (
          <div className="node choice plain">
            <span className="tag">one of · <code>{String(node.gene)}</code></span>
            <div className="branches">{branches.map((branch, place) => <span key={place} className="node block" title={JSON.stringify(branch.nodes[0]?.params)}>{String(branch.label)}</span>)}</div>
          </div>
        );
      return (
        <div className="node choice">
          <span className="tag">one of · <code>{String(node.gene)}</code></span>
          <div className="branches">
            {branches.map((branch, place) => <div key={place} className="branch"><span className="tag">{String(branch.label)}</span><Nodes nodes={branch.nodes} /></div>)}
          </div>
        </div>
      );
    }
    case "adapt":
      return <div className="node group"><span className="tag">fits the shape</span><Nodes nodes={node.nodes as Node[]} /></div>;
    case "graph":
      return <Graph nodes={[...(node.nodes as Wired[]), ...(node.output ? [node.output as Wired] : [])]} />;
    case "residual":
      return <div className="node group"><span className="tag">adds its input</span><Nodes nodes={node.nodes as Node[]} /></div>;
    default:
      return <div className="node">{node.kind}</div>;
  }
}

const tail = (name: unknown): string => String(name).split(".").slice(-1)[0]!;

// What the keys of all blocks inside begin with: `node0` of `a0.node0.first.op` and `a0.node0.add`.
function commonName(node: Node): string {
  const keys = [...JSON.stringify(node).matchAll(/"key":"([^"]*)"/g)].map((match) => match[1]!.split("."));
  const first = keys[0] ?? [];
  const end = first.findIndex((part, place) => keys.some((key) => key[place] !== part));
  return first[(end < 0 ? first.length : end) - 1] ?? node.kind;
}

// What a box of the picture says; a choice is named by the place it decides: `e01` of `cell.e01.op`.
function said(node: Node): { label: string; below: string; hint: string } {
  if (node.kind === "block") return { label: tail(node.key), below: String(node.block), hint: `${String(node.key)}: ${JSON.stringify(node.params)}` };
  if (node.kind !== "choice") return { label: commonName(node), below: node.kind, hint: `${node.kind}, drawn below` };
  const labels = (node.branches as { label: unknown }[]).map((branch) => String(branch.label));
  const parts = String(node.gene).split(".");
  return { label: parts[parts.length - 2] ?? parts[0]!, below: `one of ${labels.length}`, hint: `${String(node.gene)}: ${labels.join(", ")}` };
}

// The picture has the edges; what its boxes hold is below it, alike boxes once.
function Graph({ nodes }: { nodes: Wired[] }) {
  const pictured: PictureNode[] = nodes.map((node) => ({
    ...said(node),
    optional: node.optional,
    inputs: node.inputs.flatMap(({ places, gene }) => places.map((from) => ({ from, choice: gene !== null || places.length > 1 }))),
  }));
  const inner = new Map<string, Wired[]>();
  for (const node of nodes) {
    if (node.kind === "block" && varyingOf(node).length === 0) continue;
    const alike = shape({ ...node, inputs: null, optional: null });
    inner.set(alike, [...(inner.get(alike) ?? []), node]);
  }
  const dashed = pictured.some((node) => node.inputs.some((edge) => edge.choice));
  return (
    <div className="node group">
      <GraphPicture nodes={pictured} />
      {(dashed || nodes.some((node) => node.optional)) && <span className="tag">{[dashed && "dashed edges: by choice", nodes.some((node) => node.optional) && "dashed boxes: not in every network"].filter(Boolean).join("; ")}</span>}
      {[...inner.values()].map((alike, place) => (
        <div key={place}>
          <span className="tag">{alike.map((node) => said(node).label).join(", ")}</span>
          <One node={alike[0]!} />
        </div>
      ))}
    </div>
  );
}
