// A directed graph as a picture: nodes in columns by their depth, edges from left to right and around the nodes between.

export interface PictureEdge { from: number; choice?: boolean; off?: boolean } // -1 - k: the graph's input k
export interface PictureNode { label: string; below: string; hint: string; inputs: PictureEdge[]; optional?: boolean }

// What has a place in a column: a node, or the room that an edge to a later column needs to pass.
interface Item { value: number | null; before: Item[]; after: Item[]; x: number; y: number }
const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [124, 34, 46, 12];
const PASSAGE = 6;
const SWEEPS = 6;
const shortened = (text: string): string => (text.length > 18 ? `…${text.slice(-17)}` : text);
const heightOf = (item: Item): number => (item.value === null ? PASSAGE : HEIGHT);

function depthsOf(nodes: PictureNode[]): Map<number, number> {
  const depth = new Map<number, number>();
  nodes.forEach((node, place) => {
    for (const { from } of node.inputs) if (from < 0) depth.set(from, 0);
    depth.set(place, 1 + Math.max(0, ...node.inputs.map(({ from }) => depth.get(from) ?? 0)));
  });
  return depth;
}

// Sugiyama, Tagawa, Toda 1981: long edges get a place in every column they cross, then each column is sorted by the mean
// place of its neighbours, to and fro.
function layout(nodes: PictureNode[]) {
  const depth = depthsOf(nodes);
  const columns: Item[][] = Array.from({ length: Math.max(...depth.values()) + 1 }, () => []);
  const add = (column: number, value: number | null): Item => {
    const item: Item = { value, before: [], after: [], x: column * (WIDTH + GAP_X), y: 0 };
    columns[column]!.push(item);
    return item;
  };
  const items = new Map([...depth].sort(([a], [b]) => (a < 0 && b < 0 ? b - a : a - b)).map(([value, column]) => [value, add(column, value)]));
  const join = (a: Item, b: Item) => {
    a.after.push(b);
    b.before.push(a);
  };
  const edges = nodes.flatMap((node, to) => node.inputs.map((edge) => {
    const path = [items.get(edge.from)!];
    for (let column = depth.get(edge.from)! + 1; column < depth.get(to)!; column += 1) path.push(add(column, null));
    path.push(items.get(to)!);
    path.slice(1).forEach((item, place) => join(path[place]!, item));
    return { ...edge, path };
  }));
  const sort = (column: Item[], side: "before" | "after", other: Item[]) => {
    const place = new Map(other.map((item, index) => [item, index]));
    const wish = new Map(column.map((item, index) => [item, item[side].length ? item[side].reduce((sum, one) => sum + place.get(one)!, 0) / item[side].length : index]));
    column.sort((a, b) => wish.get(a)! - wish.get(b)!);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (let column = 1; column < columns.length; column += 1) sort(columns[column]!, "before", columns[column - 1]!);
    for (let column = columns.length - 2; column >= 0 && sweep < SWEEPS - 1; column -= 1) sort(columns[column]!, "after", columns[column + 1]!);
  }
  const heights = columns.map((column) => column.reduce((sum, item) => sum + heightOf(item) + GAP_Y, -GAP_Y));
  const height = Math.max(...heights);
  columns.forEach((column, index) => {
    let y = (height - heights[index]!) / 2;
    for (const item of column) {
      item.y = y;
      y += heightOf(item) + GAP_Y;
    }
  });
  return { placed: [...items.values()], edges, width: columns.length * (WIDTH + GAP_X) - GAP_X, height };
}

function pathOf(path: Item[]): string {
  const middle = (item: Item) => item.y + heightOf(item) / 2;
  return path.slice(1).reduce((line, item, place) => {
    const last = path[place]!;
    const [x1, x2] = [last.x + WIDTH, item.x];
    const passing = item.value === null ? ` H${item.x + WIDTH}` : "";
    return `${line} C${x1 + GAP_X / 2} ${middle(last)} ${x2 - GAP_X / 2} ${middle(item)} ${x2} ${middle(item)}${passing}`;
  }, `M${path[0]!.x + WIDTH} ${middle(path[0]!)}`);
}

export function GraphPicture({ nodes }: { nodes: PictureNode[] }) {
  const { placed, edges, width, height } = layout(nodes);
  return (
    <svg viewBox={`-2 -2 ${width + 4} ${height + 4}`} width={width + 4} height={height + 4} role="img" aria-label={`${nodes.length} nodes, ${edges.length} edges`}>
      {edges.map(({ path, choice, off }, place) => <path key={place} className={`edge ${off ? "off" : choice ? "choice" : ""}`} d={pathOf(path)} />)}
      {placed.map(({ value, x, y }) => {
        const node = nodes[value!];
        return (
          <g key={value} transform={`translate(${x} ${y})`}>
            <title>{node ? node.hint : `input ${-value!}`}</title>
            <rect className={`box ${node ? "" : "input"} ${node?.optional ? "maybe" : ""}`} width={WIDTH} height={HEIGHT} rx={7} />
            <text x={WIDTH / 2} y={node ? 14 : 21}>{node ? shortened(node.label) : placed.some((one) => one.value === -2) ? `input ${-value!}` : "input"}</text>
            {node && <text className="small" x={WIDTH / 2} y={27}>{shortened(node.below)}</text>}
          </g>
        );
      })}
    </svg>
  );
}
