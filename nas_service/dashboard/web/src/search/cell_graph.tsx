// Parts of a network that are more than a chain, as graphs; equal parts are drawn once.
import { count } from "../format";
import { GraphPicture, type PictureNode } from "../graph_picture";
import type { Architecture } from "../types";
import { partOf } from "./stages";

type Node = Architecture["nodes"][number];
interface Part { name: string; first: number; nodes: Node[]; copies: number }

// Value v is the output of node v - 1; inputs are counted from the part's own first value.
const relative = (part: Part, node: Node): number[] => node.inputs.map((value) => value - part.first - 1);

function branches(part: Part): boolean {
  return part.nodes.length > 2 && part.nodes.some((node, place) => relative(part, node).length > 1 || relative(part, node)[0] !== place - 1);
}

function partsOf(nodes: Node[]): Part[] {
  const parts: Part[] = [];
  nodes.forEach((node, place) => {
    const name = partOf(node.key);
    const open = parts[parts.length - 1];
    if (open?.name === name) open.nodes.push(node);
    else parts.push({ name, first: place, nodes: [node], copies: 1 });
  });
  const distinct = new Map<string, Part>();
  for (const part of parts.filter(branches)) {
    const shape = JSON.stringify(part.nodes.map((node) => [node.block, node.key.slice(part.name.length), relative(part, node).map((value) => Math.max(-1, value))]));
    const known = distinct.get(shape);
    if (known) known.copies += 1;
    else distinct.set(shape, part);
  }
  return [...distinct.values()];
}

// Edges from and to nothing carry nothing.
function pictureOf(part: Part): PictureNode[] {
  const off = (node: Node | undefined) => node?.block === "zero";
  return part.nodes.map((node) => ({
    label: node.key.split(".").slice(-1)[0]!,
    below: node.macs > 0 ? `${count(node.macs)} MACs` : node.block,
    hint: `${node.key}: ${node.block} ${JSON.stringify(node.params)}`,
    inputs: relative(part, node).map((from) => ({ from, off: off(node) || off(part.nodes[from]) })),
  }));
}

export function CellGraphs({ nodes }: { nodes: Node[] }) {
  return partsOf(nodes).map((part) => (
    <figure key={part.name} className="cell" aria-label={`graph of ${part.name}`} tabIndex={0}>
      <figcaption>{part.name}{part.copies > 1 && <span className="muted"> and {part.copies - 1} equal ones</span>}</figcaption>
      <GraphPicture nodes={pictureOf(part)} />
    </figure>
  ));
}
