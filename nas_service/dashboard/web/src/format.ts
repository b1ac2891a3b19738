// Numbers and times as people read them; units always shown.
export function count(value: number | null | undefined): string {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return String(Math.round(value));
}

export const percent = (value: number | null | undefined): string =>
  value == null ? "–" : `${(100 * value).toFixed(2)} %`;

export const milliseconds = (value: number | null | undefined): string =>
  value == null ? "–" : `${Math.abs(value) < 10 ? value.toFixed(3) : value.toFixed(1)} ms`;

export const bytes = (value: number | null | undefined): string =>
  value == null ? "–" : value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MiB` : `${(value / 1024).toFixed(1)} KiB`;

export const figure = (value: number | null | undefined): string => (value == null ? "–" : String(+value.toPrecision(5)));

export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 600) {
    const [minutes, rest] = [Math.floor(Math.round(seconds) / 60), Math.round(seconds) % 60];
    return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
  }
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

// Exact integers of any size come as text.
export function bigCount(text: string): string {
  if (text.length <= 6) return Number(text).toLocaleString("en");
  const rounded = Number(`${text[0]}.${text.slice(1, 3)}`);
  return `${rounded.toFixed(2)} × 10^${text.length - 1}`;
}

// Metrics of the service that are shares; a table's may be in any unit.
export const RATIOS = ["accuracy_top1", "f1_macro"];

export function metric(name: string, value: number | null | undefined): string {
  if (value == null) return "–";
  if (RATIOS.includes(name)) return percent(value);
  if (name.endsWith("_ms")) return milliseconds(value);
  if (name.endsWith("_bytes")) return bytes(value);
  if (["macs", "params", "activations"].includes(name)) return count(value);
  return figure(value);
}

const TITLES: Record<string, string> = { accuracy_top1: "Accuracy", loss: "Loss", macs: "MACs", params: "Params", latency_ms: "Latency", activations: "Activations", peak_activation_bytes: "Peak memory" };
export const title = (name: string): string => TITLES[name] ?? name;

const MOMENT: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
export const time = (iso: string | null | undefined): string => (iso == null ? "–" : new Date(iso).toLocaleString(undefined, MOMENT));
