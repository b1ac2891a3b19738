"""A search whose device has left the cluster waits for it: at no cost, visibly, for a limited time, and goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from nas_service.api.searches import _of_overview, of_detail
from nas_service.cli.searches import status_line
from nas_service.control import searches as actions
from nas_service.control.queries import overviews, search_detail
from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_failure
from nas_service.domain.search import LatencyTarget
from nas_service.storage import devices, jobs
from nas_service.storage.session import run_in_transaction
from tests.support.searches import LATENCY, FormulaWorker, install, search_of, start, work_off

RESOURCE = "device:pi5"
HOUR_S = 3600.0


@pytest.fixture
def spec(engine, empty_tables):
    """A specification that optimises latency on pi5."""
    spec = install(engine)
    attach = {"name": "pi5", "runtimes": ["onnxruntime"], "fingerprint": {"resource": RESOURCE}}
    run_in_transaction(engine, lambda session: devices.register(session, **attach))
    return replace(spec, objectives=(*spec.objectives, replace(LATENCY, target=LatencyTarget("pi5"))))


def leave(engine, hours: int = 2) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE device SET seen_at = now() - interval '{hours} hours' WHERE name = 'pi5'"))


def come_back(engine) -> None:
    run_in_transaction(engine, lambda session: devices.note_seen(session, [RESOURCE]))


def shown(engine, search_id):
    detail = run_in_transaction(engine, lambda session: search_detail(session, search_id))
    (listed,) = run_in_transaction(engine, lambda session: overviews(session, [detail.search]))
    assert _of_overview(listed).warnings == of_detail(detail).warnings
    return of_detail(detail)


def measure(engine) -> list[str]:
    """Do what is due on pi5; the kinds of jobs."""
    worker = FormulaWorker(engine, resource=RESOURCE)
    for claim in worker.claim():
        worker.do(claim)
    return worker.kinds_done


def until_it_measures(engine, search_id) -> None:
    reconciler, worker = Reconciler(engine), FormulaWorker(engine)
    for _ in range(100):
        reconciler.reconcile()
        claims = worker.claim()
        for claim in claims:
            worker.do(claim)
        if not claims and due(engine):
            return
    raise AssertionError(search_of(engine, search_id))


def due(engine) -> list[tuple[str, int]]:
    """Kind and attempts of what waits for pi5."""
    with engine.connect() as connection:
        query = text("SELECT kind, attempt FROM job WHERE resource = :resource AND state = 'queued'")
        return [tuple(row) for row in connection.execute(query, {"resource": RESOURCE})]


def test_a_search_waits_for_its_device_and_goes_on(engine, spec):
    search_id = start(engine, spec)
    until_it_measures(engine, search_id)
    assert shown(engine, search_id).progress.waiting_for is None  # it is there, and busy perhaps
    for kind in ("fit_latency", "measure"):
        leave(engine)
        until_it_measures(engine, search_id)
        view = shown(engine, search_id)
        assert (view.progress.waiting_for.device, view.warnings[0].code) == ("pi5", "device_away")
        assert view.progress.message.startswith("waiting for device pi5, away since 20")
        assert view.progress.message in status_line(view.model_dump(mode="json"))
        assert due(engine) == [(kind, 0)]
        other = start(engine, replace(install(engine), seed=8))
        work_off(engine, other)
        assert search_of(engine, other).state == "succeeded"
        come_back(engine)
        view = shown(engine, search_id)
        assert (view.progress.waiting_for, view.warnings) == (None, [])
        assert measure(engine) == [kind]
    work_off(engine, search_id)
    assert search_of(engine, search_id).state == "succeeded"


def test_a_measurement_that_loses_its_device_is_due_again_as_a_whole(engine, spec):
    search_id = start(engine, spec)
    until_it_measures(engine, search_id)
    measure(engine)
    until_it_measures(engine, search_id)
    (claim,) = FormulaWorker(engine, resource=RESOURCE).claim()
    assert len(claim.payload["architectures"]) == 3
    lost = ("latency_device_lost", "the node is gone")
    assert run_in_transaction(engine, lambda session: record_failure(session, claim, *lost))
    assert due(engine) == [("measure", 1)]


def test_a_waiting_search_can_be_cancelled(engine, spec):
    search_id = start(engine, spec)
    until_it_measures(engine, search_id)
    leave(engine)
    run_in_transaction(engine, lambda session: actions.cancel(session, search_id))
    Reconciler(engine).reconcile()
    assert search_of(engine, search_id).state == "cancelled"
    assert due(engine) == []
    assert shown(engine, search_id).warnings == []


def test_it_waits_for_a_limited_time_in_which_somebody_looks(engine, spec):
    search_id = start(engine, spec)
    until_it_measures(engine, search_id)
    leave(engine)
    reconciler = Reconciler(engine, device_wait_s=HOUR_S)
    reconciler._started -= 2 * HOUR_S
    reconciler.reconcile()
    assert search_of(engine, search_id).state == "running"  # it has needed the device for a moment only
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() - interval '2 hours' WHERE state = 'queued'"))
    Reconciler(engine, device_wait_s=HOUR_S).reconcile()
    assert search_of(engine, search_id).state == "running"  # nobody has looked for an hour
    reconciler.reconcile()
    search = search_of(engine, search_id)
    assert (search.state, search.error["reason"]) == ("failed", "latency_device_lost")
    assert search.error["message"].startswith("pi5 has not come back within 3600 s")
    assert jobs.claim(engine, "any", limit=9, lease_s=60, resource=RESOURCE) == []
