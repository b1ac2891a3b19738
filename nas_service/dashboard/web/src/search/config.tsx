// The specification exactly as stored, to read and to repeat the search.
import type { Search } from "../types";

export function ConfigView({ search }: { search: Search }) {
  return (
    <div className="card">
      <h2>Specification and provenance</h2>
      <p className="muted">The same specification and seed give the same sequence of architectures.</p>
      <pre>{JSON.stringify({ id: search.id, space_id: search.space_id, dataset_id: search.dataset_id, supernet_id: search.supernet_id, ...search.spec }, null, 2)}</pre>
    </div>
  );
}
