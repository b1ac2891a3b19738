"""Searches over a table against real Postgres: order, loss, pause, constraints, the front at any time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sqlalchemy import text

import workers.advance
from nas_service.control import searches as actions
from nas_service.control.earlier import earlier_results
from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.control.inline import record_chunk
from nas_service.control.plan import plan_search
from nas_service.control.queries import search_detail
from nas_service.control.reconcile import Reconciler
from nas_service.domain.search import Budget, Constraint, MethodChoice, Objective, TableEvaluatorSpec
from nas_service.errors import Conflict, InvalidInput
from nas_service.storage import events, fronts
from nas_service.storage.doctor import examine
from nas_service.storage.session import run_in_transaction
from nas_service.tables.build import build_table
from nas_service.tables.definition import TableDefinition
from tests.support.searches import search_of, start, trials_of
from tests.support.tables import (
    METRICS,
    OBJECTIVES,
    TableWorker,
    advance_until_rest,
    install_table,
    small_rows,
    small_table,
)

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.fixture
def spec(engine, empty_tables, tmp_path):
    yield install_table(engine, tmp_path, small_table())
    assert examine(engine) == []


def read(engine, function, *args, **kwargs):
    return run_in_transaction(engine, lambda session: function(session, *args, **kwargs))


def sequence(engine, search_id):
    return [(t.number, t.architecture_hash, t.state, t.metrics, t.fidelity) for t in trials_of(engine, search_id)]


def test_a_search_finds_what_the_table_holds(engine, spec, tmp_path):
    search_id = start(engine, spec)
    waiting = read(engine, search_detail, search_id).progress
    assert (waiting.phase, waiting.phase_number, waiting.num_phases) == ("search", 0, 1)
    advance_until_rest(engine, TableWorker(engine, tmp_path), search_id)
    search, table = search_of(engine, search_id), small_table()
    assert search.search_started_at == search.started_at
    assert (search.state, search.phase, search.num_asked, search.num_told) == ("succeeded", "done", 120, 120)
    found = trials_of(engine, search_id)
    assert [trial.number for trial in found] == list(range(120))
    assert all(trial.finished_at is not None for trial in found)
    for trial in found[::10]:
        row = table.row_of[np.array(trial.genes, dtype=np.int16).tobytes()]
        assert trial.metrics["accuracy"] == table.column("accuracy")[row, 0, 0]
        assert table.space.architecture(np.array(trial.genes, dtype=np.int16)).hash == trial.architecture_hash
    assert 0.9 < search.hypervolume / search.true_hypervolume <= 1.0
    front = read(engine, read_front, search_id)
    assert len(front.points) == search.front_size
    assert front.hypervolume == pytest.approx(search.hypervolume)
    types = [event.type for event in read(engine, events.read, search_id, 0, 1000)]
    assert (types[0], types[-1]) == ("search.created", "search.succeeded")
    assert "trials.finished" in types
    with pytest.raises(Conflict, match="no network"):
        read(engine, request_export, search_id, front.points[0].id)


@pytest.mark.parametrize("strategy", ["auto", "random", "nsga2", "aging_evolution", "local_search"])
def test_chunks_losses_and_new_workers_change_nothing(engine, spec, tmp_path, strategy):
    spec = replace(spec, strategy=MethodChoice(strategy, {}))
    whole = start(engine, spec)
    advance_until_rest(engine, TableWorker(engine, tmp_path), whole)
    pieces = start(engine, replace(spec, name="in pieces"))
    worker, reconciler, rng = TableWorker(engine, tmp_path, limit=7), Reconciler(engine), np.random.default_rng(1)
    while search_of(engine, pieces).state != "succeeded":
        reconciler.reconcile()
        claim = worker.claim()
        if claim is None:
            continue
        result = worker.compute(claim)
        if rng.random() < 0.3:  # the worker dies, and what it had in memory with it
            workers.advance._searches.clear()
            worker.lose(claim)
            with engine.begin() as connection:
                connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
        else:
            worker.record(claim, result)
    assert sequence(engine, pieces) == sequence(engine, whole)
    originals = {trial.evaluation_key: trial.id for trial in trials_of(engine, whole)}
    for trial in trials_of(engine, pieces):
        assert trial.reused_from == (originals[trial.evaluation_key] if trial.state == "succeeded" else None)


def test_a_cold_worker_asks_for_a_long_history(engine, spec, tmp_path, monkeypatch):
    monkeypatch.setattr("nas_service.control.inline._SHORT_HISTORY", 20)
    whole = start(engine, spec)
    advance_until_rest(engine, TableWorker(engine, tmp_path), whole)
    search_id = start(engine, replace(spec, name="cold"))
    worker, reconciler = TableWorker(engine, tmp_path, limit=30), Reconciler(engine)
    asked_for_history = 0
    while search_of(engine, search_id).state != "succeeded":
        reconciler.reconcile()
        claim = worker.claim()
        if claim is not None:
            workers.advance._searches.clear()
            result = worker.compute(claim)
            asked_for_history += "cold" in result
            worker.record(claim, result)
    assert asked_for_history > 0
    assert sequence(engine, search_id) == sequence(engine, whole)


def test_a_superseded_chunk_changes_nothing(engine, spec, tmp_path):
    search_id = start(engine, spec)
    worker, reconciler = TableWorker(engine, tmp_path, limit=10), Reconciler(engine)
    reconciler.reconcile()
    stale = worker.claim()
    result = worker.compute(stale)
    worker.lose(stale)
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
    fresh = worker.claim()
    assert worker.record(stale, result) is False
    assert trials_of(engine, search_id) == []
    workers.advance._searches.clear()
    assert worker.record(fresh, worker.compute(fresh)) is True
    assert len(trials_of(engine, search_id)) == 10
    with pytest.raises(ValueError, match="from trial 0 on, but 10 are recorded"):
        read(engine, record_chunk, search_id, result["chunk"])


def test_pause_keeps_what_is_computed_and_resume_goes_on(engine, spec, tmp_path):
    whole = start(engine, spec)
    advance_until_rest(engine, TableWorker(engine, tmp_path), whole)
    search_id = start(engine, replace(spec, name="paused"))
    worker, reconciler = TableWorker(engine, tmp_path, limit=10), Reconciler(engine)
    reconciler.reconcile()
    claim = worker.claim()
    read(engine, actions.pause, search_id)
    reconciler.reconcile()
    assert search_of(engine, search_id).state == "pausing"
    worker.record(claim, worker.compute(claim))
    reconciler.reconcile()
    assert search_of(engine, search_id).state == "paused"
    assert search_of(engine, search_id).num_asked == 10
    reconciler.reconcile()
    assert worker.claim() is None
    read(engine, actions.resume, search_id)
    advance_until_rest(engine, worker, search_id)
    assert sequence(engine, search_id) == sequence(engine, whole)


def test_a_cancelled_search_refuses_what_still_comes(engine, spec, tmp_path):
    search_id = start(engine, spec)
    worker, reconciler = TableWorker(engine, tmp_path, limit=10), Reconciler(engine)
    reconciler.reconcile()
    claim = worker.claim()
    read(engine, actions.cancel, search_id)
    assert worker.record(claim, worker.compute(claim)) is False
    assert trials_of(engine, search_id) == []


def test_the_front_after_n_evaluations_is_the_same_later(engine, spec, tmp_path):
    search_id = start(engine, spec)
    worker, reconciler, seen = TableWorker(engine, tmp_path, limit=25), Reconciler(engine), {}
    while search_of(engine, search_id).state != "succeeded":
        reconciler.reconcile()
        claim = worker.claim()
        if claim is not None:
            worker.record(claim, worker.compute(claim))
            told = search_of(engine, search_id).num_told
            seen[told] = read(engine, read_front, search_id, "search", told)
    for told, front in seen.items():
        assert read(engine, read_front, search_id, "search", told) == front
    curve = {point.num_evaluations: point for point in read(engine, fronts.curve, search_id)}
    for told, front in seen.items():
        assert curve[told].hypervolume == pytest.approx(front.hypervolume)
        assert curve[told].front_size == len(front.points)


def test_missing_values_and_broken_constraints_are_infeasible(engine, spec, tmp_path):
    bounded = (OBJECTIVES[0], replace(OBJECTIVES[1], constraint=Constraint(maximum=20.0)))
    bounded_spec = replace(spec, objectives=bounded, budget=Budget(trials=1000), strategy=MethodChoice("random", {}))
    search_id = start(engine, bounded_spec, tmp_path)
    advance_until_rest(engine, TableWorker(engine, tmp_path), search_id)
    search, found = search_of(engine, search_id), trials_of(engine, search_id)
    assert (search.state, search.exhausted, len(found)) == ("succeeded", True, 256)
    assert {trial.state for trial in found} == {"succeeded", "infeasible"}
    assert [t.error["reason"] for t in found if "latency_ms" not in t.metrics] == ["missing"]
    for trial in found:
        slow = trial.metrics.get("latency_ms", 0) > 20.0
        assert trial.state == ("infeasible" if slow or "latency_ms" not in trial.metrics else "succeeded")
        if slow:
            assert trial.error["violations"][0]["maximum"] == 20.0
    assert search.hypervolume == pytest.approx(search.true_hypervolume)


@pytest.mark.parametrize("replicate", ["mean", "draw"])
def test_a_constraint_that_no_entry_keeps_is_refused_with_what_is_there(engine, spec, tmp_path, replicate):
    table = small_table()
    lowest = float(np.nanmin(table.column("latency_ms")))
    spec = replace(spec, evaluator=replace(spec.evaluator, replicate=replicate))

    def bounded(maximum):
        return replace(spec, objectives=(OBJECTIVES[0], replace(OBJECTIVES[1], constraint=Constraint(maximum=maximum))))

    impossible = bounded(0.99 * lowest)
    for act in (partial(start, engine, impossible, tmp_path), partial(read, engine, plan_search, impossible, tmp_path)):
        with pytest.raises(InvalidInput) as caught:
            act()
        [problem] = caught.value.problems
        assert problem.pointer == "/objectives/1/constraint/maximum"
        assert problem.suggestion == f"at least {lowest:.12g}"
    start(engine, bounded(1.01 * lowest), tmp_path)


def test_wall_time_ends_the_asking(engine, spec, tmp_path):
    search_id = start(engine, replace(spec, budget=Budget(trials=1000, wall_s=1e-6)))
    advance_until_rest(engine, TableWorker(engine, tmp_path), search_id)
    search = search_of(engine, search_id)
    assert search.num_asked < 1000
    assert search.num_told == search.num_asked
    assert search.state == "succeeded" or search.error["message"] == "the time was over before the first trial"


def test_a_plan_reads_feasibility_off_the_table(engine, spec, tmp_path):
    bounded = (OBJECTIVES[0], replace(OBJECTIVES[1], constraint=Constraint(maximum=20.0)))
    plan = read(engine, plan_search, replace(spec, objectives=bounded), tmp_path)
    latency = small_table().column("latency_ms")
    assert plan["constraints"]["feasible_share"] == pytest.approx((latency <= 20.0).mean())
    assert plan["num_trials"] == 120


def test_a_plan_takes_its_time_from_searches_with_the_same_strategy(engine, spec, tmp_path):
    assert read(engine, plan_search, spec, tmp_path)["time"]["total_s"] is None
    search_id = start(engine, spec)
    assert read(engine, plan_search, spec, tmp_path)["time"]["total_s"] is None  # it is not finished
    advance_until_rest(engine, TableWorker(engine, tmp_path), search_id)
    search = search_of(engine, search_id)
    trial_s = (search.finished_at - search.search_started_at).total_seconds() / search.num_told
    found = read(engine, plan_search, replace(spec, budget=Budget(trials=10)), tmp_path)["time"]
    assert found == {"train_supernet_s": 0.0, "search_s": pytest.approx(10 * trial_s), "total_s": found["search_s"]}
    short = replace(spec, budget=Budget(trials=10, wall_s=5 * trial_s))
    assert read(engine, plan_search, short, tmp_path)["time"]["total_s"] == pytest.approx(5 * trial_s)
    other = replace(spec, strategy=MethodChoice("grid", {}))
    assert read(engine, plan_search, other, tmp_path)["time"]["total_s"] is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"objectives": (Objective("beauty", "maximize"),)}, "/objectives/0/metric"),
        ({"objectives": (OBJECTIVES[0], OBJECTIVES[0])}, "/objectives/1/metric"),
        ({"objectives": (Objective("macs", "minimize"),)}, "/objectives/0/metric"),
        ({"evaluator": TableEvaluatorSpec("table", "nowhere")}, "/evaluator/table"),
        ({"evaluator": TableEvaluatorSpec("table", "small", report=("beauty",))}, "/evaluator/report/0"),
        ({"dataset_id": "digits"}, "/dataset_id"),
        ({"space_id": "spc_" + "0" * 32}, "/space_id"),
        ({"strategy": MethodChoice("magic")}, "/strategy/name"),
    ],
)
def test_each_problem_names_its_place(engine, spec, change, pointer):
    with pytest.raises(InvalidInput) as caught:
        start(engine, replace(spec, **change))
    assert pointer in {problem.pointer for problem in caught.value.problems}


def test_a_search_starts_from_what_earlier_ones_found(engine, spec, tmp_path):
    first = start(engine, replace(spec, strategy=MethodChoice("random", {}), budget=Budget(60)))
    advance_until_rest(engine, TableWorker(engine, tmp_path), first)
    params = {"searches": [first], "strategy": {"name": "nsga2"}, "first": 4}
    warm = replace(spec, strategy=MethodChoice("warm_start", params), budget=Budget(40))
    second = start(engine, warm)
    advance_until_rest(engine, TableWorker(engine, tmp_path, limit=7), second)
    earlier = {tuple(trial.genes) for trial in trials_of(engine, first)}
    front = {tuple(point.genes) for point in trials_of(engine, first) if point.joined_front}
    found = trials_of(engine, second)
    assert {tuple(trial.genes) for trial in found[:4]} <= front
    assert not earlier & {tuple(trial.genes) for trial in found[4:]}
    third = start(engine, replace(warm, name="again"))
    advance_until_rest(engine, TableWorker(engine, tmp_path), third)
    assert sequence(engine, third) == sequence(engine, second)
    # What breaks a bound of the new search is no result for it.
    told = read(engine, earlier_results, warm)
    bound = Constraint(maximum=float(np.median([result.objectives[1] for result in told])))
    bounded = replace(warm, objectives=(warm.objectives[0], replace(warm.objectives[1], constraint=bound)))
    kept = [result.objectives for result in read(engine, earlier_results, bounded)]
    assert kept == [result.objectives for result in told if result.objectives[1] <= bound.maximum]
    assert 0 < len(kept) < len(told)


def test_only_finished_comparable_searches_can_be_started_from(engine, spec, tmp_path):
    other = replace(spec, objectives=spec.objectives[:1], strategy=MethodChoice("random", {}), budget=Budget(5))
    finished = start(engine, other)
    advance_until_rest(engine, TableWorker(engine, tmp_path), finished)
    running = start(engine, replace(spec, strategy=MethodChoice("random", {}), budget=Budget(5)))
    for named, reason in (("srch_none", "srch_none"), (running, "only a finished search"), (finished, "measured")):
        with pytest.raises(InvalidInput) as error:
            start(engine, replace(spec, strategy=MethodChoice("warm_start", {"searches": [named]})))
        assert [problem.pointer for problem in error.value.problems] == ["/strategy/params/searches/0"]
        assert reason in error.value.problems[0].message
    advance_until_rest(engine, TableWorker(engine, tmp_path), running)


def test_few_full_evaluations_make_the_front_of_successive_halving(engine, spec, tmp_path):
    rows = [[*row[:-2], epochs, *row[-2:]] for row in small_rows() for epochs in (1, 4, 16)]
    for row in rows:
        row[-2] -= 10 / row[4]  # accuracy grows with the epochs
    choices = ("first op", "second op", "width1", "width2")
    definition = TableDefinition("epochs", choices, METRICS, fidelity="epochs")
    halving = replace(
        install_table(engine, tmp_path, build_table(definition, lambda: [(0, rows)], None), "epochs"),
        strategy=MethodChoice("successive_halving", {"eta": 4, "strategy": {"name": "nsga2"}}),
    )
    search_id = start(engine, halving)
    advance_until_rest(engine, TableWorker(engine, tmp_path, limit=9), search_id)
    found = trials_of(engine, search_id)
    counts = [sum(trial.fidelity == share for trial in found) for share in (1 / 16, 1 / 4, 1.0)]
    assert sum(counts) == len(found) == 120
    assert counts[0] >= 4 * counts[1] > 0
    assert 12 <= counts[2] < 30
    assert all(trial.fidelity == 1.0 for trial in found if trial.joined_front)
    spent = run_in_transaction(engine, partial(search_detail, search_id=search_id)).full_evaluations
    assert spent == pytest.approx(counts[0] / 16 + counts[1] / 4 + counts[2])
    again = start(engine, replace(halving, name="again"))
    advance_until_rest(engine, TableWorker(engine, tmp_path), again)
    assert sequence(engine, again) == sequence(engine, search_id)
    warm = replace(halving, strategy=MethodChoice("warm_start", {"searches": [search_id]}))
    full = {tuple(trial.genes) for trial in found if trial.fidelity == 1.0 and trial.state == "succeeded"}
    assert {tuple(result.genes) for result in read(engine, earlier_results, warm)} == full
