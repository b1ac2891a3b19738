// Numbers and times as people read them; units always shown.
export function count(value: number | null | undefined): string {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return Math.round(value).toLocaleString("en");
}

export const percent = (value: number | null | undefined): string =>
  value == null ? "–" : `${(100 * value).toFixed(2)} %`;

function milliseconds(value: number | null | undefined): string {
  if (value == null) return "–";
  if (value !== 0 && Math.abs(value) < 0.1) return `${(1000 * value).toFixed(1)} µs`;
  return `${value.toFixed(Math.abs(value) < 10 ? 3 : 2)} ms`;
}

export const bytes = (value: number | null | undefined): string =>
  value == null ? "–" : value < 1024 ? `${value} B` : value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MiB` : `${(value / 1024).toFixed(1)} KiB`;

export function figure(value: number | null | undefined): string {
  if (value == null) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e10) ? value.toExponential(3) : value.toLocaleString("en", { maximumSignificantDigits: 5 });
}

export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return "–";
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${+seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 600) {
    const [minutes, rest] = [Math.floor(Math.round(seconds) / 60), Math.round(seconds) % 60];
    return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
  }
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const between = (start: string | null | undefined, end: string | null | undefined): string =>
  start == null || end == null ? "–" : duration((Date.parse(end) - Date.parse(start)) / 1000);

// Exact integers of any size come as text.
export function bigCount(text: string): string {
  if (text.length <= 6) return Number(text).toLocaleString("en");
  const rounded = Number(`${text[0]}.${text.slice(1, 3)}`);
  return `${rounded.toFixed(2)} × 10^${text.length - 1}`;
}

export const plural = (number: number, noun: string): string => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

// Metrics of the service that are shares; those of a table have the units that its page told.
export const RATIOS = ["accuracy_top1", "f1_macro"];
const UNITS = new Map<string, string>();
export function learnUnits(metrics: { name: string; unit: string }[]): void {
  for (const { name, unit } of metrics) UNITS.set(name, unit);
}

export function metric(name: string, value: number | null | undefined): string {
  if (value == null) return "–";
  const unit = UNITS.get(name) ?? "";
  if (RATIOS.includes(name) || unit === "ratio") return percent(value);
  if (unit === "percent") return `${value.toFixed(2)} %`;
  if (name.endsWith("_ms") || unit === "ms") return milliseconds(value);
  if (name.endsWith("_bytes") || unit === "bytes") return bytes(value);
  if (["macs", "params", "activations"].includes(name) || unit === "count") return count(value);
  return `${figure(value)}${unit && ` ${unit}`}`;
}

// On an axis zeros behind the point say nothing, and large numbers are short.
const stripped = (text: string): string => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
export const tick = (name: string, value: number): string => stripped(metric(name, value));
export const shortFigure = (value: number): string => (Math.abs(value) < 1e5 ? figure(value) : stripped(count(value)));

// In a column plain numbers have equally many decimals, so that they stand below each other.
export function columnFormat(name: string, values: (number | null | undefined)[]): (value: number | null | undefined) => string {
  const most = Math.max(0, ...values.map((value) => Math.abs(value ?? 0)));
  if (most === 0 || most >= 1e4 || most < 1e-3 || metric(name, 1.23456) !== figure(1.23456)) return (value) => metric(name, value);
  const decimals = Math.max(0, 4 - Math.floor(Math.log10(most)));
  return (value) => (value == null ? "–" : value.toFixed(decimals));
}

const TITLES: Record<string, string> = { accuracy_top1: "Accuracy", f1_macro: "F1 (macro)", loss: "Loss", perplexity: "Perplexity", macs: "MACs", params: "Params", latency_ms: "Latency", activations: "Activations", peak_activation_bytes: "Peak memory" };
export const title = (name: string): string => TITLES[name] ?? name;

const MOMENT: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
export const time = (iso: string | null | undefined): string => (iso == null ? "–" : new Date(iso).toLocaleString(undefined, MOMENT));

// As short as it is clear: the time of today, the day and time of this year, the date of others.
export function shortTime(iso: string): string {
  const [then, now] = [new Date(iso), new Date()];
  if (then.toDateString() === now.toDateString()) return then.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
  if (then.getFullYear() === now.getFullYear()) return then.toLocaleString(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
  return then.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}
