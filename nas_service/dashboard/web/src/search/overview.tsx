// Where the search stands: phases, progress, the best so far, what failed, hypervolume, the front, and what has happened.
import { useGet } from "../api";
import { between, duration, figure, metric, percent, title } from "../format";
import { axesOf, isFinished, valueOf } from "../metrics";
import { Moment } from "../moment";
import { Loading } from "../problem";
import type { Front, Search, SearchEvent } from "../types";
import { useUrl } from "../url";
import { factsOf } from "./events";
import { HypervolumeChart } from "./hypervolume_chart";
import { defaultAxes, ParetoChart } from "./pareto_chart";
import { LearningCurves } from "./supernet";

const PHASES: [string, string][] = [["supernet", "Supernet"], ["latency", "Latency model"], ["search", "Search"], ["finalists", "Finalists"]];
const LATEST = 6;

export function nothingToDraw(search: Search): string {
  if (!isFinished(search)) return search.phase === "search" ? "No trial has succeeded yet." : "Nothing has been evaluated yet; trials appear here as soon as the search phase begins.";
  return search.num_told > 0 ? `None of the ${search.num_told} trials could be a point of the front: their states and reasons are under “trials”.` : "This search ended before its first trial.";
}

function phasesOf(search: Search): [string, string][] {
  const { evaluator, objectives, finalists } = search.spec;
  const absent = [
    evaluator.kind !== "supernet" && "supernet",
    !objectives.some((one) => one.metric === "latency_ms") && "latency",
    finalists.count === 0 && "finalists",
  ];
  return PHASES.filter(([name]) => !absent.includes(name));
}

export function Overview({ search, live, milestones, onOpen }: { search: Search; live: boolean; milestones: SearchEvent[]; onOpen: (trial: string) => void }) {
  const { set } = useUrl();
  const final = search.state === "succeeded" && search.spec.finalists.count > 0;
  const path = `/v1/searches/${search.id}/front?stage=`;
  const history = useGet<Front>(`${path}search`).data;
  const front = useGet<Front>(final ? `${path}final` : `${path}search`).data;
  const [x, y] = defaultAxes(search);
  const states = search.trial_counts?.search ?? {};
  const troubled = Object.entries(states).filter(([state]) => ["infeasible", "failed", "quarantined"].includes(state));
  const heldOut = search.latency_estimator?.held_out as { mape?: number } | null | undefined;
  const bounded = search.spec.objectives.some((objective) => objective.constraint);
  const best = axesOf(search).map(({ metric: name, goal }) => {
    const known = (front?.members ?? []).filter((trial) => valueOf(trial, name) !== null);
    const [trial] = [...known].sort((a, b) => (goal === "maximize" ? -1 : 1) * (valueOf(a, name)! - valueOf(b, name)!));
    return { name, trial };
  });
  return (
    <>
      <Phases search={search} milestones={milestones} />
      <div className="tiles">
        {best.map(({ name, trial }) => <button className="tile" key={name} disabled={!trial} onClick={() => trial && onOpen(trial.id)} title={trial && `architecture of trial ${trial.number}`}>Best {title(name)}<b>{trial ? metric(name, valueOf(trial, name)) : "–"}</b></button>)}
        <div className="tile">Trials<b>{search.num_told} / {search.spec.budget.trials}</b></div>
        {bounded && <div className="tile">Rejected by constraints<b>{search.num_rejected}</b></div>}
        <div className="tile">Points of the front<b>{front?.members.length ?? search.front_size ?? "–"}</b></div>
        {search.normalised_hypervolume != null
          ? <div className="tile">Of the true front's volume<b>{percent(search.normalised_hypervolume)}</b></div>
          : <div className="tile">Hypervolume<b>{figure(search.hypervolume)}</b></div>}
        {search.regret != null && search.normalised_hypervolume == null && <div className="tile">Regret<b>{figure(search.regret)}</b></div>}
        {troubled.map(([state, number]) => <button className="tile" key={state} onClick={() => set({ tab: "trials", state })}>Trials {state}<b className="bad">{number}</b></button>)}
        {heldOut?.mape != null && <div className="tile">Error of predicted latency<b>{percent(heldOut.mape)}</b></div>}
      </div>
      {search.phase === "supernet" && search.supernet_id ? <div className="card"><LearningCurves search={search} live={live} /></div>
        : front && history ? (
          <div className="grid">
            <div className="card"><ParetoChart search={search} nothing={nothingToDraw(search)} heading={final ? "Front, scored and measured again" : isFinished(search) ? "Front" : "Front so far"} members={front.members} x={x} y={y} size="small" selected={null} onPick={({ id }) => id && onOpen(id)} /></div>
            <div className="card"><HypervolumeChart history={history.history} nothing={nothingToDraw(search)} /></div>
          </div>
        ) : <Loading what="the front" />}
      <div className="card">
        <div className="row"><h2>What has happened</h2><span className="space" /><button className="quiet" onClick={() => set({ tab: "events" })}>All events</button></div>
        <ul className="happened">
          {milestones.slice(0, LATEST).map((event) => <li key={event.seq}><Moment iso={event.created_at} /> <b className={event.type === "search.warning" ? "warn" : ""}>{event.type}</b> <span className="muted">{factsOf(event.data)}</span></li>)}
        </ul>
      </div>
    </>
  );
}

// Each phase with how long it took, and how far the present one is.
function Phases({ search, milestones }: { search: Search; milestones: SearchEvent[] }) {
  const phases = phasesOf(search);
  const now = phases.findIndex(([name]) => name === search.phase);
  const begun = milestones.filter((event) => event.type === "search.phase").reverse();
  const took = (name: string) => {
    const place = begun.findIndex((event) => event.data.phase === name);
    const next = begun.slice(place + 1).find((event) => event.data.phase !== name)?.created_at ?? search.finished_at;
    if (place < 0 || !next) return "";
    // A supernet that another search has trained is there at once.
    return name === "supernet" && Date.parse(next) - Date.parse(begun[place]!.created_at) < 1000 ? "was ready" : between(begun[place]!.created_at, next);
  };
  const progress = search.progress;
  const running = search.state === "running";
  const stopped = search.state === "failed" || search.state === "cancelled";
  return (
    <div className="card">
      <ol className="phases" aria-label="phases">
        {phases.map(([name, text], place) => <li key={name} className={search.phase === "done" || place < now ? "past" : place === now ? "now" : ""} aria-current={place === now ? "step" : undefined}>{text} <span className="muted">{took(name)}</span></li>)}
      </ol>
      {search.state !== "succeeded" && (
        <>
          <div className="row">
            <b>{stopped ? `${search.state} in the phase “${phases[now]?.[1].toLowerCase() ?? search.phase}”` : (progress?.message ?? search.phase)}</b>
            {progress?.fraction != null && running && <span className="muted">{Math.round(100 * progress.fraction)} % of this phase</span>}
            <span className="space" />
            {progress?.eta_s != null && running && <span className="muted">about {duration(progress.eta_s)} left in this phase</span>}
          </div>
          {/* Without a value the bar moves: something is done of which nobody knows how long it takes. */}
          {!stopped && <progress max={1} value={progress?.fraction ?? (running && !progress?.waiting_for ? undefined : 0)} aria-label="progress" />}
        </>
      )}
    </div>
  );
}
