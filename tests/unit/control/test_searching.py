"""A whole search against real Postgres, with results that are a formula: order, reuse, loss, fencing, finalists."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sqlalchemy import event, select, text

from nas_service.control import searches as actions
from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.control.queries import architecture_detail, overviews, search_detail, supernet_detail
from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_done
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.errors import Conflict, InvalidInput
from nas_service.storage import events, fronts, jobs, searches, supernets, trials, work
from nas_service.storage.doctor import examine
from nas_service.storage.session import run_in_transaction
from nas_service.storage.tables import JobRow
from tests.support.searches import (
    ACCURACY,
    LATENCY,
    MACS,
    FormulaWorker,
    accuracy_of,
    digits_space,
    install,
    latency_of,
    search_of,
    start,
    trials_of,
    with_maximum,
    work_off,
)

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.fixture
def spec(engine, empty_tables):
    yield install(engine)
    assert examine(engine) == []


def read(engine, function, *args, **kwargs):
    return run_in_transaction(engine, lambda session: function(session, *args, **kwargs))


def test_a_search_goes_from_supernet_to_final_front(engine, spec):
    search_id = start(engine, replace(spec, objectives=(ACCURACY, MACS, LATENCY)))
    worker = FormulaWorker(engine)
    work_off(engine, search_id, worker)

    search = search_of(engine, search_id)
    assert (search.state, search.phase, search.num_asked, search.num_told) == ("succeeded", "done", 24, 24)
    assert worker.kinds_done[:2] == ["train_supernet", "fit_latency"]
    searched = trials_of(engine, search_id)
    assert [trial.number for trial in searched] == list(range(24))
    assert len({trial.architecture_hash for trial in searched}) == 24
    space = digits_space()
    for trial in searched:
        genes = np.array([trial.genes], dtype=np.int16)
        assert trial.macs == space.costs(genes)["macs"][0]
        assert trial.accuracy_top1 == accuracy_of(trial.genes, "search")
        assert trial.latency_ms is not None
        assert trial.latency_p10_ms is None
    final = trials_of(engine, search_id, "final")
    assert len(final) == 3
    for trial in final:
        assert trial.state == "succeeded"
        assert trial.accuracy_top1 == accuracy_of(trial.genes, "select")
        assert trial.latency_ms == latency_of(trial.genes)
        assert trial.metrics["test"]["accuracy_top1"] == accuracy_of(trial.genes, "test")
    front = read(engine, read_front, search_id, "final")
    assert {point.id for point in front.points} | {point.id for point in front.dominated} == {t.id for t in final}
    detail = read(engine, search_detail, search_id)
    assert detail.progress.fraction == 1.0
    assert read(engine, supernet_detail, search.supernet_id).curve[0].accuracy_top1 == 0.9
    architecture = read(engine, architecture_detail, final[0].architecture_hash)
    assert architecture.costs["macs"] == final[0].macs
    types = [event.type for event in read(engine, events.read, search_id, 0, 1000)]
    assert types[0] == "search.created"
    assert types[-1] == "search.succeeded"


@pytest.mark.parametrize("strategy", ["nsga2", "random", "aging_evolution"])
def test_a_seed_fixes_the_sequence_at_any_order_and_after_any_crash(engine, spec, strategy):
    spec = replace(spec, strategy=MethodChoice(strategy), finalists=Finalists(count=0))
    orderly = start(engine, spec)
    work_off(engine, orderly)
    expected = [(t.architecture_hash, t.accuracy_top1, t.macs) for t in trials_of(engine, orderly)]
    # Another calibration makes it another evaluator, so that results are computed again instead of reused.
    other = replace(spec, evaluator=replace(spec.evaluator, calibration_samples=512))
    disturbed = start(engine, other)
    work_off(engine, disturbed, rng=np.random.default_rng(3))
    found = trials_of(engine, disturbed)
    assert all(trial.reused_from is None for trial in found)
    assert [(t.architecture_hash, t.accuracy_top1, t.macs) for t in found] == expected


def test_equal_evaluations_of_other_searches_are_reused(engine, spec):
    first = start(engine, spec)
    work_off(engine, first)
    second = start(engine, replace(spec, name="again", finalists=Finalists(count=1)))
    worker = FormulaWorker(engine)
    work_off(engine, second, worker)
    assert search_of(engine, second).supernet_id == search_of(engine, first).supernet_id
    originals = {trial.id for trial in trials_of(engine, first)}
    assert {trial.reused_from for trial in trials_of(engine, second)} <= originals
    read(engine, trials.write, min(originals), eval_s=24.0)  # what is reused takes no time and tells none
    assert read(engine, trials.mean_eval_s, spec.space_id) == pytest.approx((24.0 + 23 * 0.01) / 24)
    assert set(worker.kinds_done) == {"evaluate"}
    assert len(worker.kinds_done) == 2  # select and test of the finalist


def test_an_architecture_that_kills_workers_is_quarantined_and_takes_nobody_along(engine, spec):
    probe = start(engine, replace(spec, finalists=Finalists(count=0)))
    work_off(engine, probe)
    poisoned = trials_of(engine, probe)[5]
    spec = replace(spec, evaluator=replace(spec.evaluator, calibration_samples=300))
    search_id = start(engine, replace(spec, finalists=Finalists(count=0)))
    worker = FormulaWorker(engine, poison={str(poisoned.genes)})
    reconciler = Reconciler(engine)
    for _ in range(60):
        reconciler.reconcile()
        if search_of(engine, search_id).state == "succeeded":
            break
        for claim in worker.claim():
            worker.do(claim)
        with engine.begin() as connection:  # do not wait for the delay before another attempt
            connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
    assert search_of(engine, search_id).state == "succeeded"
    found = {tuple(trial.genes): trial for trial in trials_of(engine, search_id)}
    bad = found.pop(tuple(poisoned.genes))
    assert bad.state == "quarantined"
    assert bad.error["reason"] == "worker_lost"
    assert {trial.state for trial in found.values()} == {"succeeded"}


def test_a_superseded_result_changes_nothing(engine, spec):
    search_id = start(engine, replace(spec, finalists=Finalists(count=0)))
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    worker.do(worker.claim()[0])
    reconciler.reconcile()
    stale = worker.claim()[0]
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET lease_until = now() - interval '1 s' WHERE state = 'running'"))
    jobs.reap(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
    fresh = worker.claim()[0]
    assert (fresh.id, fresh.epoch) == (stale.id, stale.epoch + 1)
    result = worker._evaluate(stale.payload)
    assert run_in_transaction(engine, lambda session: record_done(session, stale, result)) is False
    assert all(trial.accuracy_top1 is None for trial in trials_of(engine, search_id))
    assert worker.do(fresh)
    assert all(trial.state == "succeeded" for trial in trials_of(engine, search_id))


class SlowDevice(FormulaWorker):
    def _measure(self, payload):
        result = super()._measure(payload)
        values = [{**value, "latency_ms": 1.25 * value["latency_ms"]} for value in result["measurements"]]
        return {**result, "measurements": values}


def test_constraints_hold_before_evaluation_and_after_measurement(engine, spec):
    space = digits_space()
    limit = int(np.median(space.costs(space.sample(500, np.random.default_rng(1)))["macs"]))
    objectives = (ACCURACY, with_maximum(MACS, limit), LATENCY)
    probe = start(engine, replace(spec, objectives=objectives))
    work_off(engine, probe)
    assert max(trial.macs for trial in trials_of(engine, probe)) <= limit
    assert search_of(engine, probe).num_rejected > 0
    # The estimator thinks that many keep this bound; on a device that is slower than that, some finalists break it.
    bound = with_maximum(LATENCY, min(trial.latency_ms for trial in trials_of(engine, probe)))
    search_id = start(engine, replace(spec, objectives=(ACCURACY, with_maximum(MACS, limit), bound)))
    work_off(engine, search_id, SlowDevice(engine))
    final = trials_of(engine, search_id, "final")
    for trial in final:
        broken = trial.latency_ms > bound.constraint.maximum
        assert trial.state == ("infeasible" if broken else "succeeded")
    assert {trial.state for trial in final} == {"infeasible", "succeeded"}


def test_a_bound_on_latency_is_refused_as_soon_as_latency_is_known(engine, spec):
    target = replace(LATENCY.target, runtime="torch", threads=2)  # no other test has it fitted
    bounded = replace(spec, objectives=(ACCURACY, MACS, replace(with_maximum(LATENCY, 0.01), target=target)))
    search_id = start(engine, bounded)  # nothing is known yet: only the search finds out
    work_off(engine, search_id)
    search = search_of(engine, search_id)
    assert (search.state, search.error["reason"]) == ("failed", "infeasible")
    assert trials_of(engine, search_id) == []
    with pytest.raises(InvalidInput) as caught:
        start(engine, bounded)
    [problem] = caught.value.problems
    assert problem.pointer == "/objectives/2/constraint/maximum"
    space = digits_space()
    active = (space.smallest() >= 0).sum()  # 0.1 ms and 0.01 ms for each choice
    assert f"the smallest found has {0.1 + 0.01 * active:.6g}" in problem.message


def test_a_search_whose_first_step_is_impossible_fails(engine, spec):
    search_id = start(engine, spec)
    with engine.begin() as connection:
        connection.execute(text("UPDATE search SET supernet_id = NULL WHERE id = :id"), {"id": search_id})
    reconciler = Reconciler(engine)
    for _ in range(3):  # twice it may have been bad luck
        assert search_of(engine, search_id).state != "failed"
        reconciler.reconcile()
    search = search_of(engine, search_id)
    assert (search.state, search.error["reason"]) == ("failed", "error")
    assert "supernet None does not exist" in search.error["message"]


def test_the_stored_hypervolume_equals_that_of_the_front_at_each_evaluation(engine, spec):
    search_id = start(engine, spec)
    work_off(engine, search_id)
    curve = read(engine, fronts.curve, search_id)
    assert [point.num_evaluations for point in curve] == list(range(1, 25))
    assert all(a.hypervolume <= b.hypervolume for a, b in pairwise(curve))
    for point in (curve[4], curve[-1]):
        front = read(engine, read_front, search_id, "search", point.num_evaluations)
        assert front.hypervolume == pytest.approx(point.hypervolume)
        assert len(front.points) == point.front_size


def test_pause_finishes_what_runs_starts_nothing_new_and_resume_goes_on(engine, spec):
    search_id = start(engine, replace(spec, finalists=Finalists(count=0)))
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    worker.do(worker.claim()[0])
    reconciler.reconcile()
    running = worker.claim()[0]
    read(engine, actions.pause, search_id)
    reconciler.reconcile()
    assert search_of(engine, search_id).state == "pausing"
    worker.do(running)
    reconciler.reconcile()
    assert search_of(engine, search_id).state == "paused"
    reconciler.reconcile()
    assert worker.claim() == []
    read(engine, actions.resume, search_id)
    work_off(engine, search_id, worker)
    assert search_of(engine, search_id).num_told == 24


def test_training_stops_when_nobody_waits_for_it_and_goes_on_under_a_later_epoch(engine, spec):
    search_id = start(engine, spec)
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    before = worker.claim()[0]
    read(engine, actions.pause, search_id)
    reconciler.reconcile()
    assert jobs.renew(engine, [before], 60) == set()
    assert worker.do(before) is False
    read(engine, actions.resume, search_id)
    reconciler.reconcile()
    again = worker.claim()[0]
    assert again.id == before.id
    assert again.epoch > before.epoch
    assert worker.do(again)
    assert read(engine, supernets.get, search_of(engine, search_id).supernet_id).state == "ready"


def test_cancel_ends_everything_that_is_open(engine, spec):
    search_id = start(engine, spec)
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    worker.do(worker.claim()[0])
    reconciler.reconcile()
    running = worker.claim()[0]
    read(engine, actions.cancel, search_id)
    assert worker.do(running) is False
    assert {trial.state for trial in trials_of(engine, search_id)} == {"cancelled"}
    reconciler.reconcile()
    assert worker.claim() == []
    with pytest.raises(Conflict):
        read(engine, actions.resume, search_id)
    assert read(engine, actions.cancel, search_id).state == "cancelled"


def test_wall_time_ends_the_asking(engine, spec):
    search_id = start(engine, replace(spec, budget=Budget(trials=1000, wall_s=1e-6), finalists=Finalists(count=0)))
    work_off(engine, search_id)
    search = search_of(engine, search_id)
    assert search.num_asked < 1000
    assert search.num_told == search.num_asked


def test_a_failed_supernet_fails_the_search_and_a_new_search_tries_again(engine, spec):
    search_id = start(engine, spec)
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    claim = worker.claim()[0]
    run_in_transaction(
        engine, lambda session: jobs.fail(session, claim.id, claim.epoch, "error", "diverged", retry=False)
    )
    reconciler.reconcile()
    search = search_of(engine, search_id)
    assert search.state == "failed"
    assert search.error["cause"]["message"] == "diverged"
    again = start(engine, spec)
    work_off(engine, again)
    assert search_of(engine, again).state == "succeeded"


def test_an_export_is_made_once_per_trial(engine, spec):
    search_id = start(engine, spec)
    work_off(engine, search_id)
    trial = trials_of(engine, search_id, "final")[0]
    first = read(engine, request_export, search_id, trial.id)
    assert read(engine, request_export, search_id, trial.id).id == first.id
    worker = FormulaWorker(engine)
    (claim,) = worker.claim()
    assert claim.payload["weights"]["supernet"]["checkpoint"]["sha256"] == "ab" * 32
    assert claim.payload["calibration"] == {"num_samples": spec.supernet.calibration_samples, "batch_size": 512}
    assert claim.payload["provenance"]["latency_is"] == "measured"
    worker.do(claim)
    searched = next(one for one in trials_of(engine, search_id) if one.architecture_hash != trial.architecture_hash)
    other = read(engine, request_export, search_id, searched.id)
    (claim,) = worker.claim()
    assert (claim.payload["export_id"], claim.payload["provenance"]["latency_is"]) == (other.id, "predicted")
    worker.do(claim)
    assert read(engine, request_export, search_id, trial.id).state == "ready"
    assert read(engine, work.of_subject, first.id).state == "succeeded"


def test_trials_come_in_pages_of_any_order(engine, spec):
    search_id = start(engine, spec)
    work_off(engine, search_id)
    for sort in ("macs", "latency_ms"):  # nobody has measured latency here: missing values count as 0
        seen, after = [], None
        while rows := read(
            engine, trials.page, search_id, stage="search", sort=sort, descending=True, limit=7, after=after
        ):
            seen += rows
            after = (getattr(rows[-1], sort) or 0, rows[-1].id)
        values = [getattr(row, sort) or 0 for row in seen]
        assert values == sorted(values, reverse=True)
        assert len({row.id for row in seen}) == 24


def test_every_search_on_a_supernet_that_only_guesses_says_so(engine, spec):
    warning = {"code": "guessing", "message": "it has learned nothing", "suggestion": "another optimiser"}

    class Guessing(FormulaWorker):
        def _train_supernet(self, payload):
            return {**super()._train_supernet(payload), "warnings": [warning]}

    first = start(engine, spec)
    work_off(engine, first, Guessing(engine))
    second = start(engine, spec)  # on the same supernet, which nobody trains again
    work_off(engine, second, FormulaWorker(engine))
    for search_id in (first, second):
        said = [one.data for one in read(engine, events.read, search_id, 0, 1000) if one.type == "search.warning"]
        assert said == [warning]
        assert read(engine, search_detail, search_id).supernet.warnings == [warning]


def test_a_list_asks_as_often_for_many_searches_as_for_one(engine, spec):
    ids = [start(engine, replace(spec, seed=seed)) for seed in range(4)]
    run_in_transaction(engine, lambda session: Reconciler(engine).step(session, ids[0]))  # waits for its supernet
    found = [read(engine, searches.get, search_id) for search_id in ids]
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    one = read(engine, overviews, found[:1])
    asked = len(statements)
    assert read(engine, overviews, found)[:1] == one
    assert len(statements) == 2 * asked
    assert one[0].progress.phase == "supernet"
    for search_id in ids:
        work_off(engine, search_id)


@pytest.mark.parametrize("mode", ["finetune", "retrain"])
def test_finalists_can_be_trained_by_themselves(engine, spec, mode):
    finalists = Finalists(count=2, mode=mode, seeds=3)
    latency = replace(LATENCY, target=replace(LATENCY.target, batch_size=4, threads=2))
    search_id = start(engine, replace(spec, objectives=(ACCURACY, MACS, latency), finalists=finalists))
    worker = FormulaWorker(engine)
    work_off(engine, search_id, worker)
    assert search_of(engine, search_id).state == "succeeded"
    assert worker.kinds_done[-3:] == ["train_network", "train_network", "measure"]
    final = trials_of(engine, search_id, "final")
    assert [trial.accuracy_top1 for trial in final] == [accuracy_of(t.genes, f"{mode}select") for t in final]
    assert [seed["seed"] for seed in final[0].metrics["seeds"]] == [7, 8, 9]
    query = select(JobRow.payload).where(JobRow.search_id == search_id)
    payloads = read(engine, lambda session: session.scalars(query.order_by(JobRow.id)).all())
    assert {"supernet" in payload for payload in payloads if "network_id" in payload} == {mode == "finetune"}
    assert payloads[-1]["device"] == {
        "name": "local-cpu", "processor": "cpu", "runtime": "onnxruntime", "batch_size": 4, "threads": 2
    }  # fmt: skip
    read(engine, request_export, search_id, final[0].id)
    (claim,) = worker.claim()
    assert claim.payload["weights"] == {"network": final[0].metrics["checkpoint"]}
    worker.do(claim)


def test_two_controllers_at_once_do_no_harm(engine, spec):
    alone = start(engine, replace(spec, finalists=Finalists(count=0)))
    work_off(engine, alone)
    evaluator = replace(spec.evaluator, calibration_samples=200)
    shared = start(engine, replace(spec, evaluator=evaluator))
    over = threading.Event()

    def control():
        reconciler = Reconciler(engine)
        while not over.is_set():
            reconciler.reconcile()

    with ThreadPoolExecutor(2) as threads:
        controllers = [threads.submit(control) for _ in range(2)]
        worker, deadline = FormulaWorker(engine), time.monotonic() + 60
        while search_of(engine, shared).state != "succeeded" and time.monotonic() < deadline:
            for claim in worker.claim(limit=1):
                worker.do(claim)
        over.set()
        for controller in controllers:
            controller.result()
    expected = [trial.architecture_hash for trial in trials_of(engine, alone)]
    assert [trial.architecture_hash for trial in trials_of(engine, shared)] == expected
    assert len(trials_of(engine, shared, "final")) == 3
