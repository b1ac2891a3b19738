// One ECharts canvas that follows its container and the theme. Tooltips are drawn, not HTML, so the strict CSP holds.
import { LineChart, ScatterChart, CustomChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import type { EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "react";

echarts.use([LineChart, ScatterChart, CustomChart, GridComponent, TooltipComponent, LegendComponent, DataZoomComponent, CanvasRenderer]);

export const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function axisStyle(name: string, extra: object = {}): object {
  return {
    name,
    nameLocation: "middle",
    nameGap: 34,
    scale: true,
    nameTextStyle: { color: cssColour("--muted") },
    axisLabel: { color: cssColour("--muted") },
    axisLine: { lineStyle: { color: cssColour("--line") } },
    splitLine: { lineStyle: { color: cssColour("--line") } },
    ...extra,
  };
}

export function Chart(props: { option: EChartsCoreOption; label: string; small?: boolean; onPick?: (data: unknown) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts | null>(null);
  const pick = useRef(props.onPick);
  pick.current = props.onPick;

  useEffect(() => {
    const instance = echarts.init(host.current!, undefined, { renderer: "canvas" });
    chart.current = instance;
    instance.on("click", (event) => pick.current?.(event.data));
    const observer = new ResizeObserver(() => instance.resize());
    observer.observe(host.current!);
    return () => {
      observer.disconnect();
      instance.dispose();
    };
  }, []);

  useEffect(() => {
    chart.current?.setOption(
      { animation: false, color: PALETTE, textStyle: { color: cssColour("--ink") }, ...props.option },
      { notMerge: true },
    );
  }, [props.option]);

  return <div ref={host} className={props.small ? "chart small" : "chart"} role="img" aria-label={props.label} />;
}
