// What the search would do, asked for anew at every change and before anything starts.
import { bigCount, bytes, duration, metric, percent, title } from "../format";
import { ProblemNote } from "../problem";
import type { Plan } from "../types";

interface Feasible { feasible_share?: number; num_sampled?: number; any_feasible?: boolean; not_known_before_evaluation?: boolean }

export function PlanPanel({ plan, error, stale }: { plan: Plan | undefined; error: Error | null; stale: boolean }) {
  const feasible = (plan?.constraints ?? {}) as Feasible;
  return (
    <div aria-label="plan" aria-live="polite" aria-busy={stale} className={stale ? "pending" : ""} role="region">
      <h2>Plan</h2>
      {error ? <ProblemNote error={error} /> : !plan ? <p className="muted">Being worked out …</p> : (
        <dl className="facts narrow">
          <div><dt>space</dt><dd>{bigCount(String(plan.space.cardinality))} architectures</dd></div>
          <div><dt>trials</dt><dd>{plan.num_trials}</dd></div>
          <div><dt>feasible</dt><dd className={feasible.any_feasible === false ? "bad" : ""}>{percent(feasible.feasible_share)} of {feasible.num_sampled} samples{feasible.not_known_before_evaluation && ", as far as it is known before evaluating"}</dd></div>
          {Object.entries(plan.costs).map(([name, range]) => <div key={name}><dt>{title(name)}</dt><dd>{metric(name, Number(range.minimum))} to {metric(name, Number(range.maximum))}</dd></div>)}
          {"train_supernet" in plan.jobs && <div><dt>supernet</dt><dd>{plan.supernet_is_ready ? "is ready" : "will be trained"}</dd></div>}
          <div><dt>jobs</dt><dd>{Object.entries(plan.jobs).filter(([, number]) => number > 0).map(([kind, number]) => `${number} ${kind.replaceAll("_", " ")}`).join(", ")}</dd></div>
          <div><dt>time</dt><dd>{plan.time.total_s == null ? "unknown: nothing alike has been searched here" : `about ${duration(plan.time.total_s)} (${plan.time.train_supernet_s ? `training ${duration(plan.time.train_supernet_s)}, ` : ""}search ${duration(plan.time.search_s)})`}</dd></div>
          <div><dt>disk</dt><dd>{bytes(plan.disk_bytes)}</dd></div>
        </dl>
      )}
    </div>
  );
}
