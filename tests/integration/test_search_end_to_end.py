"""One small search for real: Postgres, child processes, training on the digits, measured latency, an export."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.storage import exports
from nas_service.storage.session import run_in_transaction
from tests.support.searches import ACCURACY, LATENCY, MACS, digits, install, search_of, start, trials_of
from workers.dispatch import Dispatcher, Timing
from workers.local_pool import LocalPool
from workers.marker import FILE_NAME

RECIPE = MethodChoice("sandwich", {"num_steps": 100, "num_random": 1, "curve_every_steps": 50})


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    DatasetStore(folder / "datasets").write(digits())
    (folder / FILE_NAME).write_text("m")
    return folder


@pytest.fixture
def dispatcher(engine, empty_tables, artifacts):
    pool = LocalPool(artifacts, "m", num_slots=2)
    yield Dispatcher(engine, pool, Timing())
    pool.close()


def dispatch_until(dispatcher, condition, timeout_s=500.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not done in time"
        dispatcher.step()


@pytest.mark.slow
def test_from_a_specification_to_a_downloadable_network(engine, dispatcher, artifacts):
    spec = replace(
        install(engine),
        objectives=(ACCURACY, MACS, LATENCY),
        budget=Budget(trials=16),
        finalists=Finalists(count=3),
        parallelism=8,
    )
    spec = replace(spec, evaluator=replace(spec.evaluator, recipe=RECIPE))
    search_id = start(engine, spec)
    dispatch_until(dispatcher, lambda: search_of(engine, search_id).state in ("succeeded", "failed"))
    search = search_of(engine, search_id)
    assert search.state == "succeeded", search.error
    assert [trial.state for trial in trials_of(engine, search_id)] == ["succeeded"] * 16
    final = trials_of(engine, search_id, "final")
    assert all(trial.latency_p10_ms <= trial.latency_ms <= trial.latency_p90_ms for trial in final)
    assert all("accuracy_top1" in trial.metrics["test"] for trial in final)
    front = run_in_transaction(engine, lambda session: read_front(session, search_id, "final"))
    assert front.points[0].accuracy_top1 > 0.5
    # The best of the search front by accuracy is among the finalists.
    best = max(trials_of(engine, search_id), key=lambda trial: trial.accuracy_top1)
    assert best.architecture_hash in {trial.architecture_hash for trial in final}

    export = run_in_transaction(engine, lambda session: request_export(session, search_id, front.points[0].id))

    def export_state():
        return run_in_transaction(engine, lambda session: exports.get(session, export.id))

    dispatch_until(dispatcher, lambda: export_state().state in ("ready", "failed"))
    ready = export_state()
    assert ready.state == "ready", ready.error
    for file in ready.files:
        assert (artifacts / ready.path / file["name"]).stat().st_size == file["size_bytes"]
