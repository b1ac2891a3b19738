// What happened, newest first, as it happens; one kind at a time when asked.
import { figure } from "../format";
import { Moment } from "../moment";
import type { Json, SearchEvent } from "../types";
import { useUrl } from "../url";

function said(value: unknown): string {
  if (typeof value === "number") return figure(value);
  if (value !== null && typeof value === "object") return Object.entries(value).map(([name, inner]) => `${name} ${said(inner)}`).join(", ");
  return String(value);
}

// A message says all; its parts are for programs.
export const factsOf = (data: Json): string =>
  typeof data.message === "string" ? data.message : Object.entries(data).filter(([, value]) => value !== null).map(([name, value]) => `${name.replaceAll("_", " ")} ${said(value)}`).join(" · ");

export function EventsView({ events }: { events: SearchEvent[] }) {
  const { params, set } = useUrl();
  const kind = params.get("event") ?? "";
  const kinds = [...new Set(events.map((event) => event.type))].sort();
  const shown = events.filter((event) => !kind || event.type === kind);
  return (
    <div className="card">
      <div className="row">
        <label className="inline">Kind<select value={kind} onChange={(event) => set({ event: event.target.value || null })}><option value="">all</option>{kinds.map((name) => <option key={name}>{name}</option>)}</select></label>
        <span className="muted">The latest {shown.length}, as they are committed.</span>
      </div>
      <div className="scroll events" tabIndex={0}>
        <table>
          <thead className="sticky"><tr><th>When</th><th>Event</th><th>Facts</th></tr></thead>
          <tbody>{shown.map((event) => (
            <tr key={event.seq} className={event.type === "search.warning" ? "warned" : ""}>
              <td><Moment iso={event.created_at} /></td><td>{event.type}</td>
              <td className="wrap">{typeof event.data.trial_id === "string" ? <button className="link" onClick={() => set({ trial: String(event.data.trial_id), tab: "architecture" })}>{factsOf(event.data)}</button> : factsOf(event.data)}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </div>
  );
}
