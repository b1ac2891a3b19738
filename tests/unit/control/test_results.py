"""What workers say becomes rows: what is tried again, what an interrupted batch keeps, which scores cannot be true."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_done, record_failure, record_report
from nas_service.domain.records import JobRecord
from nas_service.domain.search import Finalists
from nas_service.storage import supernets, work
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import run_in_transaction
from tests.support.searches import FormulaWorker, install, start, trials_of


@pytest.fixture
def training(engine, empty_tables) -> ClaimedJob:
    """A claimed job that trains a supernet."""
    start(engine, replace(install(engine), finalists=Finalists(count=0)))
    Reconciler(engine).reconcile()
    (claim,) = FormulaWorker(engine).claim()
    assert claim.kind == "train_supernet"
    return claim


@pytest.fixture
def batch(engine, training) -> ClaimedJob:
    """A claimed job that scores several trials."""
    worker = FormulaWorker(engine)
    worker.do(training)
    Reconciler(engine).reconcile()
    claim = worker.claim()[0]
    assert claim.kind == "evaluate"
    assert len(claim.payload["trials"]) > 1
    return claim


def job_of(engine, claim: ClaimedJob) -> JobRecord:
    return run_in_transaction(engine, lambda session: work.get(session, claim.id))


def told(engine, record, claim: ClaimedJob, *facts) -> bool:
    return run_in_transaction(engine, lambda session: record(session, claim, *facts))


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("oom", "queued"),
        ("timeout", "queued"),
        ("worker_lost", "queued"),
        ("latency_device_lost", "queued"),
        ("error", "failed"),
        ("invalid_metric", "failed"),
    ],
)
def test_only_what_another_try_may_help_is_tried_again(engine, batch, reason, state):
    alone = replace(batch, payload={**batch.payload, "trials": batch.payload["trials"][:1]})
    assert told(engine, record_failure, alone, reason, "it is said here")
    assert (job_of(engine, batch).state, job_of(engine, batch).error["reason"]) == (state, reason)
    assert not told(engine, record_failure, alone, reason, "and once more, too late")


def test_a_batch_that_failed_is_not_tried_again_as_a_whole(engine, batch):
    pair = replace(batch, payload={**batch.payload, "trials": batch.payload["trials"][:2]})
    assert told(engine, record_failure, pair, "oom", "no memory")
    assert job_of(engine, batch).state == "failed"


def test_an_interrupted_batch_keeps_what_it_has_done(engine, batch):
    results = FormulaWorker(engine)._evaluate(batch.payload)["results"]
    assert told(engine, record_done, batch, {"results": results[:1], "interrupted": True})
    job = job_of(engine, batch)
    assert (job.state, job.attempt) == ("queued", 0)  # a stop costs no attempt
    scores = {trial.id: trial.accuracy_top1 for trial in trials_of(engine, batch.search_id)}
    assert [name for name, value in scores.items() if value is not None] == [results[0]["id"]]
    again = next(claim for claim in FormulaWorker(engine).claim() if claim.id == batch.id)
    changed = [{**item, "metrics": {**item["metrics"], "accuracy_top1": 0.5}} for item in results]
    assert told(engine, record_done, again, {"results": changed, "interrupted": False})
    now = {trial.id: trial.accuracy_top1 for trial in trials_of(engine, batch.search_id)}
    assert now[results[0]["id"]] == scores[results[0]["id"]] != 0.5
    assert {now[item["id"]] for item in results[1:]} == {0.5}


@pytest.mark.parametrize(
    "wrong",
    [
        {"accuracy_top1": math.nan},
        {"accuracy_top1": 1.5},
        {"accuracy_top1": -0.1},
        {"accuracy_top1": None},
        {"loss": math.inf},
        {"loss": -1.0},
    ],
)
def test_scores_that_cannot_be_true_fail_their_trial_alone(engine, batch, wrong):
    results = FormulaWorker(engine)._evaluate(batch.payload)["results"]
    results[0]["metrics"] |= wrong
    assert told(engine, record_done, batch, {"results": results, "interrupted": False})
    found = {trial.id: trial for trial in trials_of(engine, batch.search_id)}
    bad = found[results[0]["id"]]
    assert (bad.state, bad.error["reason"]) == ("failed", "invalid_metric")
    assert next(iter(wrong)) in bad.error["message"]
    assert {found[item["id"]].state for item in results[1:]} == {"succeeded"}


def test_reports_count_under_the_current_claim_alone(engine, batch):
    result = {"type": "result", **FormulaWorker(engine)._evaluate(batch.payload)["results"][0]}
    assert not told(engine, record_report, replace(batch, epoch=batch.epoch - 1), result)
    assert {trial.accuracy_top1 for trial in trials_of(engine, batch.search_id)} == {None}
    assert told(engine, record_report, batch, result)
    states = {trial.id: trial.state for trial in trials_of(engine, batch.search_id)}
    assert states[result["id"]] == "succeeded"


def test_a_point_that_was_reported_is_not_added_again(engine, training):
    result = FormulaWorker(engine)._train_supernet(training.payload)
    (point,) = result["curve"]
    later = {**point, "step": point["step"] + 10}
    assert told(engine, record_report, training, {"type": "curve", **point})
    assert told(engine, record_done, training, {**result, "curve": [point, later]})
    curve = run_in_transaction(engine, lambda session: supernets.curve(session, training.subject_id))
    assert [(one.subnet, one.step) for one in curve] == [("largest", point["step"]), ("largest", later["step"])]
