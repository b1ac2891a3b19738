// Numbers and times as people read them; units always shown.
export function count(value: number | null | undefined): string {
  if (value == null) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return String(Math.round(value));
}

export const percent = (value: number | null | undefined): string =>
  value == null ? "–" : `${(100 * value).toFixed(2)} %`;

export const milliseconds = (value: number | null | undefined): string =>
  value == null ? "–" : `${value < 10 ? value.toFixed(3) : value.toFixed(1)} ms`;

export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function metric(name: string, value: number | null | undefined): string {
  if (value == null) return "–";
  if (name === "accuracy_top1") return percent(value);
  if (name.endsWith("_ms")) return milliseconds(value);
  if (name === "loss") return value.toFixed(4);
  return count(value);
}

export const time = (iso: string | null | undefined): string =>
  iso == null ? "–" : new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
