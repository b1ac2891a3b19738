"""Searches whose parts fail: measurements, scores that are missing or break a bound, and what takes their place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, select, update

from nas_service.control import searches as actions
from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_failure
from nas_service.domain.search import Budget, Finalists
from nas_service.errors import Conflict
from nas_service.storage import exports, supernets, trials, work
from nas_service.storage.doctor import examine
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import run_in_transaction
from nas_service.storage.tables import JobRow
from tests.support.searches import (
    ACCURACY,
    LATENCY,
    MACS,
    FormulaWorker,
    accuracy_of,
    install,
    search_of,
    start,
    trials_of,
    with_maximum,
    with_minimum,
    work_off,
)

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.fixture
def spec(engine, empty_tables):
    yield replace(install(engine), budget=Budget(trials=12), finalists=Finalists(count=2))
    assert examine(engine) == []


def read(engine, function, *args, **kwargs):
    return run_in_transaction(engine, lambda session: function(session, *args, **kwargs))


@dataclass
class Breaking(FormulaWorker):
    """Fails the jobs that ``breaks`` picks."""

    breaks: Callable[[ClaimedJob], bool] = lambda claim: False

    def do(self, claim: ClaimedJob) -> bool:
        if not self.breaks(claim):
            return super().do(claim)
        self.kinds_done.append(claim.kind)
        return run_in_transaction(self.engine, lambda s: record_failure(s, claim, "error", "it broke"))


def genes_in(claim: ClaimedJob) -> list[list[int]]:
    return [item["genes"] for item in (*claim.payload.get("trials", ()), *claim.payload.get("architectures", ()))]


def test_a_finalist_that_cannot_be_measured_is_replaced_and_spoils_no_other(engine, spec):
    unlucky: list[list[int]] = []

    def breaks(claim: ClaimedJob) -> bool:
        if claim.kind == "measure" and not unlucky:
            unlucky.append(genes_in(claim)[0])
        return claim.kind == "measure" and unlucky[0] in genes_in(claim)

    worker = Breaking(engine, breaks=breaks)
    search_id = start(engine, replace(spec, objectives=(ACCURACY, MACS, LATENCY)))
    work_off(engine, search_id, worker)
    assert search_of(engine, search_id).state == "succeeded"
    first, *others = trials_of(engine, search_id, "final")
    assert (first.genes, first.state, first.error["message"]) == (unlucky[0], "failed", "it broke")
    assert [trial.state for trial in others] == ["succeeded"] * 2
    assert len({trial.architecture_hash for trial in (first, *others)}) == 3
    # Together, then each by itself, then who came in place of the one that failed; each with the machine to itself.
    assert worker.kinds_done.count("measure") == 4
    query = select(JobRow.exclusive).where(JobRow.search_id == search_id, JobRow.kind == "measure")
    assert read(engine, lambda session: session.scalars(query).all()) == [True] * 4
    for trial in others:
        spread = (trial.latency_p10_ms, trial.latency_p90_ms)
        assert spread == (pytest.approx(0.9 * trial.latency_ms), pytest.approx(1.2 * trial.latency_ms))


@pytest.mark.parametrize("by", ["job", "trial"])
def test_a_finalist_without_a_test_score_says_why_and_stays(engine, spec, by):
    class Untested(Breaking):
        def _evaluate(self, payload):
            found = super()._evaluate(payload)
            if payload["split"] == "test" and by == "trial":
                found["results"][0] = {"id": payload["trials"][0]["id"], "error": {"reason": "error", "message": "bad"}}
            return found

    unlucky: list[list[int]] = []

    def breaks(claim: ClaimedJob) -> bool:
        if by == "trial" or claim.payload.get("split") != "test":
            return False
        unlucky[:] = unlucky or [genes_in(claim)[0]]
        return unlucky[0] in genes_in(claim)

    search_id = start(engine, spec)
    work_off(engine, search_id, Untested(engine, breaks=breaks))
    assert search_of(engine, search_id).state == "succeeded"
    first, second = trials_of(engine, search_id, "final")
    assert first.state == second.state == "succeeded"
    assert first.metrics["test"]["error"]["message"] == ("it broke" if by == "job" else "bad")
    assert second.metrics["test"]["accuracy_top1"] == accuracy_of(second.genes, "test")


def test_a_search_whose_finalists_all_break_a_bound_fails(engine, spec):
    class Slow(FormulaWorker):
        def _measure(self, payload):
            found = super()._measure(payload)
            return {**found, "measurements": [{**one, "latency_ms": 1e3} for one in found["measurements"]]}

    search_id = start(engine, replace(spec, objectives=(ACCURACY, MACS, with_maximum(LATENCY, 100.0))))
    work_off(engine, search_id, Slow(engine))
    search = search_of(engine, search_id)
    assert (search.state, search.error["reason"]) == ("failed", "no_finalist")
    final = trials_of(engine, search_id, "final")
    assert {trial.state for trial in final} == {"infeasible"}
    assert len(final) == search.front_size > 2  # each member of the front has had its turn
    assert final[0].error["violations"] == [{"metric": "latency_ms", "value": 1e3, "maximum": 100.0}]


def test_scores_that_break_a_bound_are_on_no_front(engine, spec):
    probe = start(engine, replace(spec, finalists=Finalists(count=0)))
    work_off(engine, probe)
    bound = float(np.median([trial.accuracy_top1 for trial in trials_of(engine, probe)]))
    other = replace(spec.evaluator, calibration_samples=100)  # another evaluator, so that nothing is reused
    search_id = start(engine, replace(spec, objectives=(with_minimum(ACCURACY, bound), MACS), evaluator=other))
    work_off(engine, search_id)
    found = trials_of(engine, search_id)
    assert {trial.state for trial in found} == {"succeeded", "infeasible"}
    for trial in found:
        assert trial.state == ("infeasible" if trial.accuracy_top1 < bound else "succeeded")
    assert min(trial.accuracy_top1 for trial in read(engine, read_front, search_id).points) >= bound
    bad = next(trial for trial in found if trial.state == "infeasible")
    assert not read(engine, trials.write, bad.id, state="succeeded")  # an end is an end
    with pytest.raises(Conflict, match="is infeasible"):
        read(engine, request_export, search_id, bad.id)


def test_a_search_without_a_single_score_says_what_became_of_its_trials(engine, spec):
    class Diverging(FormulaWorker):
        def _evaluate(self, payload):
            found = super()._evaluate(payload)
            for item in found["results"]:
                item["metrics"]["loss"] = math.nan
            return found

    search_id = start(engine, spec)
    work_off(engine, search_id, Diverging(engine))
    error = search_of(engine, search_id).error
    assert error == {"reason": "no_result", "message": "no trial succeeded: 12 failed"}
    again = start(engine, replace(spec, finalists=Finalists(count=0)))
    work_off(engine, again)
    assert {(trial.state, trial.reused_from) for trial in trials_of(engine, again)} == {("succeeded", None)}


def test_a_finalist_whose_training_gives_no_score_is_replaced(engine, spec):
    class Diverging(FormulaWorker):
        def _train_network(self, payload):
            found = super()._train_network(payload)
            if self.kinds_done.count("train_network") == 1:
                found["metrics"]["select"]["accuracy_top1"] = 1.5
            return found

    search_id = start(engine, replace(spec, finalists=Finalists(count=2, mode="retrain")))
    worker = Diverging(engine)
    work_off(engine, search_id, worker)
    states = sorted(trial.state for trial in trials_of(engine, search_id, "final"))
    assert states == ["failed", "succeeded", "succeeded"]
    assert worker.kinds_done.count("train_network") == 3


def test_training_goes_on_while_one_of_two_searches_waits_for_it(engine, spec):
    paused, waiting = start(engine, spec), start(engine, replace(spec, name="another"))
    worker, reconciler = FormulaWorker(engine), Reconciler(engine)
    reconciler.reconcile()
    (claim,) = worker.claim()
    read(engine, actions.pause, paused)
    reconciler.reconcile()
    assert worker.do(claim)
    supernet_id = search_of(engine, waiting).supernet_id
    assert read(engine, supernets.get, supernet_id).state == "ready"
    work_off(engine, waiting, worker)
    begun = search_of(engine, paused).started_at
    read(engine, actions.resume, paused)
    work_off(engine, paused, worker)
    assert search_of(engine, paused).started_at == begun  # the first start counts


def test_an_export_that_failed_is_made_when_it_is_asked_for_again(engine, spec):
    search_id = start(engine, spec)
    work_off(engine, search_id)
    trial = trials_of(engine, search_id, "final")[0]
    export = read(engine, request_export, search_id, trial.id)
    broken = Breaking(engine, breaks=lambda claim: True)
    (claim,) = broken.claim()
    broken.do(claim)
    Reconciler(engine).reconcile()
    assert read(engine, exports.get, export.id).state == "failed"
    with engine.begin() as connection:  # an attempt before it may have been put off
        connection.execute(
            update(JobRow).where(JobRow.id == claim.id).values(run_after=func.now() + timedelta(hours=1))
        )
    again = read(engine, request_export, search_id, trial.id)
    assert (again.id, again.state) == (export.id, "queued")
    assert read(engine, work.of_subject, export.id).attempt == 0
    worker = FormulaWorker(engine)
    (second,) = worker.claim()
    assert (second.id, second.epoch) == (claim.id, claim.epoch + 1)
    worker.do(second)
    assert read(engine, exports.get, export.id).state == "ready"
