// One ECharts canvas that follows its container and the theme, with a table as its twin and a picture to take away.
// Tooltips are drawn, not HTML, so the strict CSP holds.
import { CustomChart, LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, ParallelComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import * as echarts from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { open } from "./download";
import { useTheme, type Colours } from "./theme";

echarts.use([LineChart, ScatterChart, CustomChart, ParallelChart, GridComponent, TooltipComponent, LegendComponent, DataZoomComponent, ParallelComponent, VisualMapComponent, CanvasRenderer]);

export interface Pick { seriesId: string; dataIndex: number; data: unknown; event?: { event?: MouseEvent } }
interface Table { head: string[]; rows: () => (string | number | null)[][] }
const TABLE_ROWS = 500;

export function axisStyle(colours: Colours, name: string, { axisLabel, ...extra }: { axisLabel?: object; [key: string]: unknown } = {}): object {
  return {
    name,
    nameLocation: "middle",
    nameGap: 34,
    scale: true,
    nameTextStyle: { color: colours.muted },
    axisLabel: { color: colours.muted, hideOverlap: true, ...axisLabel },
    axisLine: { lineStyle: { color: colours.line } },
    splitLine: { lineStyle: { color: colours.line } },
    ...extra,
  };
}

export const tooltipStyle = (colours: Colours): object => ({
  renderMode: "richText",
  backgroundColor: colours.card,
  borderColor: colours.line,
  textStyle: { color: colours.ink, fontSize: 12 },
});

interface Props {
  option: EChartsCoreOption;
  title: ReactNode;
  label: string; // what the picture shows, in words
  table: Table;
  empty?: string; // what to say where there is nothing to draw; the place stays as large
  size?: "small" | "tall";
  min_px?: number; // where the picture needs more than a narrow screen has, it scrolls
  onPick?: (pick: Pick) => void;
  onEvent?: Record<string, (event: unknown, chart: echarts.ECharts) => void>;
  actions?: ReactNode;
}

export function Chart(props: Props) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts | null>(null);
  const latest = useRef(props);
  const [asTable, setAsTable] = useState(false);
  const { colours } = useTheme();
  latest.current = props;

  useEffect(() => {
    if (asTable || props.empty) return;
    const instance = echarts.init(host.current!, undefined, { renderer: "canvas" });
    chart.current = instance;
    instance.on("click", (event) => latest.current.onPick?.(event as unknown as Pick));
    for (const name of Object.keys(latest.current.onEvent ?? {}))
      instance.on(name, (event: unknown) => latest.current.onEvent?.[name]?.(event, instance));
    const observer = new ResizeObserver(() => instance.resize());
    observer.observe(host.current!);
    return () => {
      observer.disconnect();
      instance.dispose();
      chart.current = null;
    };
  }, [asTable, Boolean(props.empty)]);

  useEffect(() => {
    chart.current?.setOption({ animation: false, color: colours.series, textStyle: { color: colours.ink }, ...props.option }, { notMerge: true });
  }, [props.option, colours, asTable, Boolean(props.empty)]);

  const save = () => chart.current && open("chart.png", chart.current.getDataURL({ pixelRatio: 2, backgroundColor: colours.card }));
  const rows = asTable ? props.table.rows() : [];
  return (
    <figure aria-label={props.label}>
      <figcaption className="row">
        <h2>{props.title}</h2>
        <span className="space" />
        {props.actions}
        <button className="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>{asTable ? "Chart" : "Table"}</button>
        {!asTable && !props.empty && <button className="quiet" onClick={save}>PNG</button>}
      </figcaption>
      {/* Keys: the chart clears the element it was drawn in, which must not become the table's. */}
      {asTable ? (
        <div key="table" className="scroll" tabIndex={0}>
          <table>
            <thead><tr>{props.table.head.map((name) => <th key={name}>{name}</th>)}</tr></thead>
            <tbody>{rows.slice(0, TABLE_ROWS).map((row, index) => <tr key={index}>{row.map((value, place) => <td key={place}>{value ?? "–"}</td>)}</tr>)}</tbody>
          </table>
          {rows.length > TABLE_ROWS && <p className="muted">The first {TABLE_ROWS} of {rows.length} rows.</p>}
        </div>
      ) : props.empty ? (
        <p key="empty" className={`chart empty ${props.size ?? ""}`}>{props.empty}</p>
      ) : (
        <div key="chart" className={props.min_px ? "sideways" : ""} tabIndex={props.min_px ? 0 : undefined}>
          <div ref={host} className={`chart ${props.size ?? ""}`} style={{ minWidth: props.min_px }} role="img" aria-label={props.label} />
        </div>
      )}
    </figure>
  );
}
