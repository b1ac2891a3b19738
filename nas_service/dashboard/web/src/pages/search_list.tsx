// All searches, newest first, with what one wants to know at a glance.
import { Link } from "wouter";
import { useGet } from "../api";
import { time } from "../format";
import { ProblemNote } from "../problem";
import type { Page, Search } from "../types";

export function SearchList() {
  const { data, error } = useGet<Page<Search>>("/v1/searches?page_size=100", { every_ms: 3000 });
  return (
    <main>
      <div className="row">
        <h1>Searches</h1>
        <span className="space" />
        <Link className="button" href="/new">New search</Link>
      </div>
      <ProblemNote error={error} />
      {data && data.items.length === 0 && (
        <div className="card">
          <p>No search yet. Start one here, or from a shell:</p>
          <pre>nas search create --space digits-mobile --dataset digits --trials 200</pre>
        </div>
      )}
      {data && data.items.length > 0 && (
        <div className="card scroll">
          <table>
            <thead>
              <tr><th>Name</th><th>State</th><th>Phase</th><th>Strategy</th><th className="number">Trials</th><th className="number">Front</th><th className="number">Hypervolume</th><th>Created</th></tr>
            </thead>
            <tbody>
              {data.items.map((search) => (
                <tr key={search.id}>
                  <td><Link href={`/searches/${search.id}`}>{search.name}</Link></td>
                  <td><span className={`chip ${search.state}`}>{search.state}</span></td>
                  <td>{search.phase}</td>
                  <td>{search.spec.strategy.name}</td>
                  <td className="number">{search.num_told} / {search.spec.budget.trials}</td>
                  <td className="number">{search.front_size ?? "–"}</td>
                  <td className="number">{search.hypervolume?.toPrecision(5) ?? "–"}</td>
                  <td>{time(search.created_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </main>
  );
}
