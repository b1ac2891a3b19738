// What happened, newest first, as it happens.
import { time } from "../format";
import type { SearchEvent } from "../types";

export function EventsView({ events }: { events: SearchEvent[] }) {
  return (
    <div className="card scroll" aria-live="polite">
      <table>
        <thead><tr><th>When</th><th>Event</th><th>Facts</th></tr></thead>
        <tbody>{events.map((event) => <tr key={event.seq}><td>{time(event.created_at)}</td><td>{event.type}</td><td><code>{JSON.stringify(event.data)}</code></td></tr>)}</tbody>
      </table>
    </div>
  );
}
