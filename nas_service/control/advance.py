"""The search phase: tell results in number order, ask for the next architectures, submit them.

Trial k is asked for when exactly the trials below k + 1 - parallelism have been told (more only when the strategy had
to wait for them). So what is proposed depends on results alone, never on who was faster or what crashed in between.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas_service.control import payloads
from nas_service.control.batches import settle, submit
from nas_service.control.earlier import with_earlier
from nas_service.control.ending import counted_states, fail_search
from nas_service.control.objectives import build_problem, objectives_of, reference_point
from nas_service.control.payloads import Surroundings
from nas_service.domain.front_tracker import FrontTracker
from nas_service.domain.records import FrontPoint, TrialRecord
from nas_service.domain.search import SearchSpec
from nas_service.domain.states import TRIAL_TERMINAL
from nas_service.ids import content_key, new_id
from nas_service.methods.strategies.base import Evaluation, Exhausted, Proposal, Strategy, Wait
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.storage import events, fronts, searches, trials
from nas_service.storage.session import Session

EVALUATOR_VERSION = "supernet@1"


@dataclass
class Live:
    """A strategy in memory, at a known place of its search; a cache that the rows can always rebuild."""

    strategy: Strategy
    front: FrontTracker
    num_asked: int = 0
    num_told: int = 0
    exhausted: bool = False
    out_of_time: bool = False
    repeats: Counter[str] = field(default_factory=Counter)
    joined: list[int] = field(default_factory=list)

    def take_in(self, evaluation: Evaluation) -> None:
        """Follow the front and note who joins it."""
        if evaluation.objectives is not None and self.front.add(evaluation.objectives):
            self.joined.append(evaluation.number)

    def asks_no_more(self, spec: SearchSpec) -> bool:
        """Whether all trials there will ever be are asked for."""
        return self.exhausted or self.out_of_time or self.num_asked >= spec.budget.trials


def search_phase(session: Session, around: Surroundings, lives: dict[str, Live]) -> bool:
    """One step; whether every trial of the budget has been told."""
    search, spec = around.search, around.spec
    live = lives.pop(search.id, None)
    if live is None or (live.num_asked, live.num_told) != (search.num_asked, search.num_told):
        live = _rebuild(session, around)
    wall_s = spec.budget.wall_s
    live.exhausted = search.exhausted
    live.out_of_time = wall_s is not None and searches.searching_for_s(session, search) >= wall_s
    window = trials.of_search(session, search.id, "search", first=live.num_told)
    if settle(session, search.id, window):
        window = trials.of_search(session, search.id, "search", first=live.num_told)
    points: list[FrontPoint] = []
    while True:
        reused = _insert(session, around, live, _ask(session, around, live, window, points))
        window = trials.of_search(session, search.id, "search", first=live.num_told)
        if not reused:
            break
    asked_all = live.asks_no_more(spec)
    if asked_all:
        _tell_until(live, around, {trial.number: trial for trial in window}, live.num_asked, points)
    ready = [trial for trial in window if trial.state == "pending" and trial.job_id is None]
    if ready:
        submit(session, search.id, "evaluate", "search", ready, payloads.evaluate(around, "search", ready))
    _save(session, around, live, points)
    lives[search.id] = live
    if not asked_all or live.num_told < live.num_asked:
        return False
    if live.front.size == 0:
        fail_search(session, search, *_why_empty(session, around, live))
        return False
    return True


def _ask(
    session: Session, around: Surroundings, live: Live, window: list[TrialRecord], points: list[FrontPoint]
) -> list[tuple[int, Proposal]]:
    """As many proposals as there is room for, with their numbers; tells the trials of the window on the way."""
    proposals: list[tuple[int, Proposal]] = []
    open_window = {trial.number: trial for trial in window}
    while not live.exhausted:
        room_from = live.num_asked + 1 - around.spec.parallelism  # so many are told before the next is asked for
        _tell_until(live, around, open_window, max(live.num_told, room_from), points)
        if live.num_told < room_from or live.asks_no_more(around.spec):
            break
        pending = [
            np.asarray(open_window[number].genes, dtype=np.int16)
            for number in range(live.num_told, live.num_asked)
            if number in open_window
        ] + [proposal.genes for _, proposal in proposals]
        outcome = live.strategy.ask(live.num_asked, pending)
        if isinstance(outcome, Proposal):
            proposals.append((live.num_asked, outcome))
            live.num_asked += 1
        elif isinstance(outcome, Exhausted) or (isinstance(outcome, Wait) and live.num_told == live.num_asked):
            live.exhausted = True
            events.record(session, "search.exhausted", {"reason": outcome.reason}, search_id=around.search.id)
        elif proposals or not _tell_until(live, around, open_window, live.num_told + 1, points):
            break
    return proposals


def _rebuild(session: Session, around: Surroundings) -> Live:
    """The strategy as of the last committed step, from its stored state and the told trials."""
    search, spec = around.search, around.spec
    document = None if around.estimator is None else around.estimator.document
    problem = with_earlier(build_problem(spec, around.space, document), session, spec)
    reference = search.reference_point
    if reference is None:
        reference = reference_point(spec, problem)
        searches.save(session, search.id, reference_point=reference)
    cls = STRATEGIES[spec.strategy.name]
    strategy = cls(problem, cls.Params.model_validate(spec.strategy.params))
    live = Live(strategy, FrontTracker(reference), search.num_asked, search.num_told)
    known = trials.of_search(session, search.id, "search")
    history = [_evaluation(around, trial) for trial in known[: search.num_told]]
    strategy.restore(search.strategy_state if search.strategy_state is not None else strategy.state(), history)
    for evaluation in history:
        live.take_in(evaluation)
    live.joined.clear()  # stored by those who told them
    live.repeats.update(trial.architecture_hash for trial in known)
    return live


def _tell_until(
    live: Live, around: Surroundings, window: dict[int, TrialRecord], number: int, points: list[FrontPoint]
) -> bool:
    """Tell finished trials in order up to ``number`` (exclusive); whether that many are told."""
    while live.num_told < number:
        trial = window.get(live.num_told)
        if trial is None or trial.state not in TRIAL_TERMINAL:
            return False
        evaluation = _evaluation(around, trial)
        live.strategy.tell(evaluation)
        live.take_in(evaluation)
        live.num_told += 1
        points.append(FrontPoint(live.num_told, live.front.hypervolume, live.front.size))
    return True


def _evaluation(around: Surroundings, trial: TrialRecord) -> Evaluation:
    objectives = objectives_of(around.spec, trial) if trial.state == "succeeded" else None
    if objectives is not None:
        status = "succeeded"
    else:
        status = "infeasible" if trial.state == "infeasible" else "failed"
    genes = np.asarray(trial.genes, dtype=np.int16)
    return Evaluation(trial.number, genes, objectives, status, trial.token)  # type: ignore[arg-type]


def _insert(session: Session, around: Surroundings, live: Live, proposals: list[tuple[int, Proposal]]) -> bool:
    """Insert the proposed trials, with results where an equal evaluation has been made; whether any was."""
    if not proposals:
        return False
    genes = around.space.canonical(np.stack([proposal.genes for _, proposal in proposals]))
    costs = live.strategy.problem.costs(genes)
    rows = []
    for i, (number, proposal) in enumerate(proposals):
        architecture = around.space.architecture(genes[i]).hash
        replicate = live.repeats[architecture]
        live.repeats[architecture] += 1
        row = new_trial(around, "search", number, architecture, [int(gene) for gene in genes[i]], replicate)
        row["token"] = {**proposal.token}
        row["evaluation_key"] = evaluation_key(around, architecture, "search", proposal.fidelity, replicate)
        row |= known_values({name: values[i] for name, values in costs.items()})
        rows.append(row)
    found = trials.reusable(session, [row["evaluation_key"] for row in rows])
    for row in rows:
        earlier = found.get(row["evaluation_key"])
        if earlier is not None:
            row |= {
                "state": "succeeded",
                "reused_from": earlier.reused_from or earlier.id,
                "accuracy_top1": earlier.accuracy_top1,
                "loss": earlier.loss,
                "eval_s": earlier.eval_s,
                "metrics": {**earlier.metrics, **row["metrics"]},
                "finished_at": searches.now(session),
            }
    trials.insert_many(session, rows)
    for row in rows:
        data = {"trial_id": row["id"], "number": row["number"], "reused": row["reused_from"] is not None}
        events.record(session, "trial.created", data, search_id=around.search.id)
    return bool(found)


def new_trial(
    around: Surroundings, stage: str, number: int, architecture_hash: str, genes: list[int], replicate: int
) -> dict[str, Any]:
    """The columns of a pending trial."""
    return {
        "id": new_id("trial"),
        "search_id": around.search.id,
        "stage": stage,
        "number": number,
        "replicate": replicate,
        "architecture_hash": architecture_hash,
        "genes": genes,
        "state": "pending",
        "evaluation_key": "",
        "token": {},
        "reused_from": None,
        "accuracy_top1": None,
        "loss": None,
        "macs": None,
        "params": None,
        "latency_ms": None,
        "metrics": {},
        "eval_s": None,
        "finished_at": None,
    }


def evaluation_key(around: Surroundings, architecture: str, step: str, fidelity: float, replicate: int) -> str:
    """What makes two evaluations the same: architecture, evaluator and version, weights, data, fidelity, replicate."""
    weights = payloads.supernet_weights(around)["checkpoint"]["sha256"]
    evaluator = [EVALUATOR_VERSION, around.spec.supernet.calibration_samples]
    return content_key(architecture, evaluator, weights, around.dataset.fingerprint, step, fidelity, replicate)


def known_values(costs: dict[str, Any]) -> dict[str, Any]:
    """Columns for what is known of an architecture before any evaluation."""
    metrics = {name: int(costs[name]) for name in ("activations", "peak_activation_bytes") if name in costs}
    latency = costs.get("latency_ms")
    return {
        "macs": int(costs["macs"]),
        "params": int(costs["params"]),
        "latency_ms": None if latency is None else float(latency),
        "metrics": metrics,
    }


def _save(session: Session, around: Surroundings, live: Live, points: list[FrontPoint]) -> None:
    """Store how far the search has come and the strategy's state, in the transaction that inserted its trials."""
    state = live.strategy.state()
    searches.save(
        session,
        around.search.id,
        strategy_state=state,
        num_asked=live.num_asked,
        num_told=live.num_told,
        num_rejected=live.strategy.num_rejected,
        exhausted=live.exhausted,
        hypervolume=live.front.hypervolume,
        front_size=live.front.size,
    )
    fronts.add_points(session, around.search.id, points)
    trials.mark_joined_front(session, around.search.id, live.joined)
    live.joined.clear()
    if points:
        data = {"num_evaluations": live.num_told, "hypervolume": live.front.hypervolume, "front_size": live.front.size}
        events.record(session, "front.advanced", data, search_id=around.search.id)


def _why_empty(session: Session, around: Surroundings, live: Live) -> tuple[str, str]:
    if live.num_asked == 0:
        return "infeasible", "no architecture of the space keeps the constraints"
    return "no_result", f"no trial succeeded: {counted_states(session, around.search.id)}"
