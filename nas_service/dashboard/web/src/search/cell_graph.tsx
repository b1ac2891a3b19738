// Parts of a network that are more than a chain, as graphs: nodes in columns by their depth, equal parts drawn once.
import { count } from "../format";
import type { Architecture } from "../types";

type Node = Architecture["nodes"][number];
interface Part { name: string; first: number; nodes: Node[]; copies: number }
interface Placed { label: string; x: number; y: number; node: Node | null }
const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [124, 34, 46, 12];
const BEND = 56;

// `stage0.cell1.e01.op` belongs to `stage0.cell1`, `a0.node1.add` to `a0`.
function partOf(key: string): string {
  const parts = key.split(".");
  return parts.slice(0, parts.length > 2 && /\d$/.test(parts[1]!) && !/^node/.test(parts[1]!) ? 2 : 1).join(".");
}

// Value v is the output of node v - 1; inputs are counted from the part's own first value.
const relative = (part: Part, node: Node): number[] => node.inputs.map((value) => value - part.first - 1);

function branches(part: Part): boolean {
  return part.nodes.length > 2 && part.nodes.some((node, place) => relative(part, node).length > 1 || relative(part, node)[0] !== place - 1);
}

export function partsOf(nodes: Node[]): Part[] {
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

function layout(part: Part): { placed: Map<number, Placed>; edges: [number, number][]; width: number; height: number } {
  const depth = new Map<number, number>();
  const edges: [number, number][] = [];
  part.nodes.forEach((node, place) => {
    const inputs = relative(part, node);
    for (const value of inputs) {
      if (value < 0) depth.set(value, 0);
      edges.push([value, place]);
    }
    depth.set(place, 1 + Math.max(0, ...inputs.map((value) => depth.get(value) ?? 0)));
  });
  const rows = new Map<number, number>();
  const placed = new Map<number, Placed>();
  for (const [value, column] of [...depth].sort((a, b) => a[1] - b[1] || a[0] - b[0])) {
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    const node = part.nodes[value] ?? null;
    placed.set(value, { label: node ? node.key.split(".").slice(-1)[0]! : "in", x: column * (WIDTH + GAP_X), y: row * (HEIGHT + GAP_Y), node });
  }
  const most = Math.max(...rows.values());
  // Columns are centred, so that edges stay short.
  for (const place of placed.values()) place.y += ((most - rows.get(Math.round(place.x / (WIDTH + GAP_X)))!) * (HEIGHT + GAP_Y)) / 2;
  return { placed, edges, width: (Math.max(...depth.values()) + 1) * (WIDTH + GAP_X) - GAP_X, height: most * (HEIGHT + GAP_Y) - GAP_Y };
}

export function CellGraphs({ nodes }: { nodes: Node[] }) {
  return partsOf(nodes).map((part) => {
    const { placed, edges, width, height } = layout(part);
    const margin = edges.some(([from, to]) => placed.get(to)!.x - placed.get(from)!.x > WIDTH + GAP_X) ? BEND / 2 : 2;
    return (
      <figure key={part.name} className="cell" aria-label={`graph of ${part.name}`} tabIndex={0}>
        <figcaption>{part.name}{part.copies > 1 && <span className="muted"> and {part.copies - 1} equal ones</span>}</figcaption>
        <svg viewBox={`-2 ${-margin} ${width + 4} ${height + 2 * margin}`} width={width + 4} height={height + 2 * margin} role="img" aria-label={`${part.nodes.length} nodes, ${edges.length} edges`}>
          {edges.map(([from, to], place) => {
            const [a, b] = [placed.get(from)!, placed.get(to)!];
            const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
            // An edge over several columns goes around the nodes between, by the nearer side.
            const far = x2 - x1 > GAP_X;
            const bend = far ? (y1 + y2 < height ? -BEND : BEND) : 0;
            const reach = far ? (x2 - x1) / 3 : GAP_X / 2;
            return <path key={place} className={b.node?.block === "zero" || a.node?.block === "zero" ? "edge off" : "edge"} d={`M${x1} ${y1} C${x1 + reach} ${y1 + bend} ${x2 - reach} ${y2 + bend} ${x2} ${y2}`} />;
          })}
          {[...placed].map(([value, { label, x, y, node }]) => (
            <g key={value} transform={`translate(${x} ${y})`}>
              <title>{node ? `${node.key}: ${node.block} ${JSON.stringify(node.params)}` : "input of this part"}</title>
              <rect className={node ? "box" : "box input"} width={WIDTH} height={HEIGHT} rx={7} />
              <text x={WIDTH / 2} y={14}>{label.length > 17 ? `${label.slice(0, 16)}…` : label}</text>
              {node && <text className="small" x={WIDTH / 2} y={27}>{node.macs > 0 ? `${count(node.macs)} MACs` : node.block}</text>}
            </g>
          ))}
        </svg>
      </figure>
    );
  });
}
