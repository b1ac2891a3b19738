// What happened, newest first, as it happens; one kind at a time when asked.
import { time } from "../format";
import type { SearchEvent } from "../types";
import { useUrl } from "../url";

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
      {events.length === 0 && <p className="muted">No event yet.</p>}
      <div className="scroll" tabIndex={0}>
        <table>
          <thead><tr><th>When</th><th>Event</th><th>Facts</th></tr></thead>
          <tbody>{shown.map((event) => <tr key={event.seq}><td>{time(event.created_at)}</td><td>{event.type}</td><td><code>{JSON.stringify(event.data)}</code></td></tr>)}</tbody>
        </table>
      </div>
    </div>
  );
}
