// Where the search stands: phases, progress, what failed and why, hypervolume, and the front so far.
import { useGet } from "../api";
import { duration, figure, percent } from "../format";
import { Loading } from "../problem";
import type { Front, Search } from "../types";
import { HypervolumeChart } from "./hypervolume_chart";
import { defaultAxes, ParetoChart } from "./pareto_chart";

const PHASES: [string, string][] = [["supernet", "Supernet"], ["latency", "Latency model"], ["search", "Search"], ["finalists", "Finalists"], ["done", "Done"]];

const OVER = ["succeeded", "failed", "cancelled"];

export function nothingToDraw(search: Search): string {
  if (!OVER.includes(search.state)) return search.phase === "search" ? "No trial has succeeded yet." : "Nothing has been evaluated yet; trials appear here as soon as the search phase begins.";
  return search.num_told > 0 ? `None of the ${search.num_told} trials could be a point of the front: their states and reasons are under “trials”.` : "This search ended before its first trial.";
}

export function Overview({ search, onOpen }: { search: Search; onOpen: (trial: string) => void }) {
  const front = useGet<Front>(`/v1/searches/${search.id}/front?stage=search`).data;
  const progress = search.progress;
  const [x, y] = defaultAxes(search);
  const states = search.trial_counts?.search ?? {};
  const troubled = Object.entries(states).filter(([state]) => ["infeasible", "failed", "quarantined"].includes(state));
  const heldOut = search.latency_estimator?.held_out as { mape?: number; spearman?: number } | null | undefined;
  const phases = search.spec.evaluator.kind === "supernet" ? PHASES : PHASES.filter(([name]) => name === "search" || name === "done");
  const now = phases.findIndex(([name]) => name === search.phase);
  return (
    <>
      <div className="card">
        <ol className="phases" aria-label="phases">
          {phases.map(([name, text], place) => <li key={name} className={place < now || search.phase === "done" ? "past" : place === now ? "now" : ""} aria-current={place === now ? "step" : undefined}>{text}</li>)}
        </ol>
        <div className="row">
          <b>{search.state === "failed" || search.state === "cancelled" ? `${search.state} in the phase “${phases[now]?.[1].toLowerCase() ?? search.phase}”` : (progress?.message ?? search.phase)}</b>
          {progress?.fraction != null && search.state === "running" && <span className="muted">{percent(progress.fraction)} of this phase</span>}
          <span className="space" />
          {progress?.eta_s != null && search.state === "running" && <span className="muted">about {duration(progress.eta_s)} left in this phase</span>}
        </div>
        <progress max={1} value={progress?.fraction ?? (search.state === "succeeded" ? 1 : 0)} aria-label="progress" />
      </div>
      <div className="tiles">
        <div className="tile">Trials<b>{search.num_told} / {search.spec.budget.trials}</b></div>
        <div className="tile">Rejected by constraints<b>{search.num_rejected}</b></div>
        <div className="tile">Front<b>{search.front_size ?? "–"}</b></div>
        <div className="tile">Hypervolume<b>{figure(search.hypervolume)}</b></div>
        {search.normalised_hypervolume != null && <div className="tile">Of the true front's<b>{percent(search.normalised_hypervolume)}</b></div>}
        {search.regret != null && <div className="tile">Regret<b>{figure(search.regret)}</b></div>}
        {troubled.map(([state, number]) => <div className="tile" key={state}>{state}<b>{number}</b></div>)}
        {heldOut?.mape != null && <div className="tile">Error of predicted latency<b>{percent(heldOut.mape)}</b></div>}
      </div>
      {front ? (
        <div className="grid">
          <div className="card"><HypervolumeChart history={front.history} nothing={nothingToDraw(search)} /></div>
          <div className="card"><ParetoChart search={search} nothing={nothingToDraw(search)} heading="Front so far" members={front.members} x={x} y={y} size="small" selected={null} onPick={({ id }) => id && onOpen(id)} /></div>
        </div>
      ) : <Loading what="the front" />}
    </>
  );
}
