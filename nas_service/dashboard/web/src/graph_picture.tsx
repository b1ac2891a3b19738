// A directed graph as a picture: nodes in columns by their depth, edges from left to right.

export interface PictureEdge { from: number; choice?: boolean; off?: boolean } // -1 - k: the graph's input k
export interface PictureNode { label: string; below: string; hint: string; inputs: PictureEdge[]; optional?: boolean }
interface Placed { x: number; y: number; node: PictureNode | null }
const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [124, 34, 46, 12];
const BEND = 56;
const shortened = (text: string): string => (text.length > 18 ? `…${text.slice(-17)}` : text);

function layout(nodes: PictureNode[]): { placed: Map<number, Placed>; width: number; height: number } {
  const depth = new Map<number, number>();
  nodes.forEach((node, place) => {
    for (const { from } of node.inputs) if (from < 0) depth.set(from, 0);
    depth.set(place, 1 + Math.max(0, ...node.inputs.map(({ from }) => depth.get(from) ?? 0)));
  });
  const rows = new Map<number, number>();
  const placed = new Map<number, Placed>();
  for (const [value, column] of [...depth].sort((a, b) => a[1] - b[1] || (a[0] < 0 ? b[0] - a[0] : a[0] - b[0]))) {
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    placed.set(value, { x: column * (WIDTH + GAP_X), y: row * (HEIGHT + GAP_Y), node: nodes[value] ?? null });
  }
  const most = Math.max(...rows.values());
  // Columns are centred, so that edges stay short.
  for (const place of placed.values()) place.y += ((most - rows.get(Math.round(place.x / (WIDTH + GAP_X)))!) * (HEIGHT + GAP_Y)) / 2;
  return { placed, width: (Math.max(...depth.values()) + 1) * (WIDTH + GAP_X) - GAP_X, height: most * (HEIGHT + GAP_Y) - GAP_Y };
}

export function GraphPicture({ nodes }: { nodes: PictureNode[] }) {
  const { placed, width, height } = layout(nodes);
  const edges = nodes.flatMap((node, to) => node.inputs.map((edge) => ({ ...edge, to })));
  const far = (from: number, to: number) => placed.get(to)!.x - placed.get(from)!.x > WIDTH + GAP_X;
  const margin = edges.some(({ from, to }) => far(from, to)) ? BEND / 2 : 2;
  return (
    <svg viewBox={`-2 ${-margin} ${width + 4} ${height + 2 * margin}`} width={width + 4} height={height + 2 * margin} role="img" aria-label={`${nodes.length} nodes, ${edges.length} edges`}>
      {edges.map(({ from, to, choice, off }, place) => {
        const [a, b] = [placed.get(from)!, placed.get(to)!];
        const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
        // An edge over several columns goes around the nodes between, by the nearer side.
        const bend = far(from, to) ? (y1 + y2 < height ? -BEND : BEND) : 0;
        const reach = far(from, to) ? (x2 - x1) / 3 : GAP_X / 2;
        return <path key={place} className={`edge ${off ? "off" : choice ? "choice" : ""}`} d={`M${x1} ${y1} C${x1 + reach} ${y1 + bend} ${x2 - reach} ${y2 + bend} ${x2} ${y2}`} />;
      })}
      {[...placed].map(([value, { x, y, node }]) => (
        <g key={value} transform={`translate(${x} ${y})`}>
          <title>{node ? node.hint : `input ${-value}`}</title>
          <rect className={`box ${node ? "" : "input"} ${node?.optional ? "maybe" : ""}`} width={WIDTH} height={HEIGHT} rx={7} />
          <text x={WIDTH / 2} y={node ? 14 : 21}>{node ? shortened(node.label) : placed.has(-2) ? `input ${-value}` : "input"}</text>
          {node && <text className="small" x={WIDTH / 2} y={27}>{shortened(node.below)}</text>}
        </g>
      ))}
    </svg>
  );
}
