"""The dispatcher with a pool that says what the test has written: late, silent, damaged and missing answers."""

from __future__ import annotations

import threading
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from nas_service.domain.records import JobRecord
from nas_service.storage import jobs, supernets, work
from nas_service.storage.session import run_in_transaction, unit_of_work
from tests.support.searches import install, search_of, start
from workers import dispatch
from workers.dispatch import Dispatcher, Timing
from workers.pool_interface import Done, Message, Report

pytestmark = pytest.mark.usefixtures("empty_tables")
ENDED = {"reason": "error", "message": "so it is said"}


class Scripted:
    """A pool of two slots whose jobs do nothing; ``said`` is what it tells next."""

    num_slots = largest_group = 2
    device = "cpu"

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.said: list[Message] = []
        self.begun: list[tuple[str, int]] = []
        self.running: dict[str, int] = {}  # slots of each job
        self.stopped: list[str] = []
        self.killed: list[str] = []

    @property
    def num_busy(self) -> int:
        return sum(self.running.values())

    @property
    def num_free(self) -> int:
        return self.num_slots - self.num_busy

    def reserve(self, devices: Collection[str]) -> None:
        assert not devices

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        self.begun.append((job_id, epoch))
        self.running[job_id] = dispatch.slots_needed(kind, payload)
        assert self.num_free >= 0

    def poll(self, timeout_s: float) -> list[Message]:
        said, self.said = self.said, []
        for message in said:
            if isinstance(message, Done):
                self.running.pop(message.job_id, None)
        return said

    def stop(self, job_id: str) -> None:
        self.stopped.append(job_id)

    def kill(self, job_id: str) -> None:
        self.killed.append(job_id)


@pytest.fixture
def pool() -> Scripted:
    return Scripted()


@pytest.fixture
def dispatcher(engine, pool) -> Dispatcher:
    return Dispatcher(engine, pool, Timing(renew_s=0.0))  # claims are renewed in every step


def enqueue(engine, key: str, kind: str = "evaluate", **options) -> str:
    with unit_of_work(engine) as session:
        return jobs.enqueue(session, kind=kind, dedup_key=key, **{"payload": {}, **options})


def job_of(engine, job_id: str) -> JobRecord:
    with unit_of_work(engine) as session:
        job = work.get(session, job_id)
    assert job is not None
    return job


def lose(engine) -> None:
    """All leases end, and what was lost is due again."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET lease_until = now() - interval '1 s' WHERE state = 'running'"))
    jobs.reap(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))


def test_what_the_worker_of_an_earlier_claim_says_is_not_that_of_the_new_one(engine, pool, dispatcher):
    job_id = enqueue(engine, "a")
    dispatcher.step(0)
    lose(engine)
    dispatcher.step(0)
    assert pool.begun == [(job_id, 1), (job_id, 2)]
    pool.said = [Report(job_id, 1, {"type": "progress", "step": 1}), Done(job_id, 1, error=ENDED)]
    dispatcher.step(0)
    assert (job_of(engine, job_id).state, job_of(engine, job_id).progress) == ("running", None)
    pool.said = [Done(job_id, 2, error=ENDED)]
    dispatcher.step(0)
    assert (job_of(engine, job_id).state, job_of(engine, job_id).error) == ("failed", ENDED)


def test_who_is_silent_for_too_long_is_ended_and_who_talks_is_not(engine, pool, dispatcher, monkeypatch):
    silent, talking = enqueue(engine, "a"), enqueue(engine, "b")
    now = [0.0]
    monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    dispatcher.step(0)
    for step in range(3):
        now[0] += 0.4 * dispatch.SILENCE_S
        pool.said = [Report(talking, 1, {"type": "progress", "step": step})]
        dispatcher.step(0)
    assert pool.killed == [silent]
    assert job_of(engine, talking).progress == {"step": 2}


def test_a_result_that_cannot_be_stored_ends_its_job_and_holds_up_no_other(engine, pool, dispatcher):
    damaged, other = enqueue(engine, "a"), enqueue(engine, "b")
    dispatcher.step(0)
    pool.said = [Done(damaged, 1, result={"no": "results"}), Done(other, 1, error=ENDED)]
    dispatcher.step(0)
    assert job_of(engine, damaged).state == job_of(engine, other).state == "failed"
    assert job_of(engine, damaged).error["message"].startswith("the result cannot be recorded: ")
    assert job_of(engine, other).error == ENDED


def test_at_the_end_what_runs_is_stopped_and_given_back(engine, pool, dispatcher):
    running, alone = enqueue(engine, "a"), enqueue(engine, "b", exclusive=True)
    for _ in range(2):  # the exclusive job is claimed after the one before it, and waits for its end
        dispatcher.step(0)
    assert pool.begun == [(running, 1)]
    dispatcher.drain(seconds=0.0)
    assert pool.stopped == [running]
    assert [(job_of(engine, one).state, job_of(engine, one).attempt) for one in (running, alone)] == [("queued", 0)] * 2


def test_a_pool_that_fails_loses_its_jobs_at_once(engine, pool, dispatcher, monkeypatch):
    job_id = enqueue(engine, "a")

    def fail(timeout_s: float) -> list[Message]:
        raise RuntimeError("no head")

    monkeypatch.setattr(pool, "poll", fail)
    with pytest.raises(RuntimeError, match="no head"):
        dispatch.run(dispatcher, threading.Event())
    job = job_of(engine, job_id)
    assert (job.state, job.attempt, job.error["reason"]) == ("queued", 1, "worker_lost")
    assert "no head" in job.error["message"]


def test_an_exclusive_job_begins_when_nothing_runs_here_and_unless_it_was_cancelled(engine, pool, dispatcher):
    running, cancelled = enqueue(engine, "a"), enqueue(engine, "b", exclusive=True)
    for _ in range(2):
        dispatcher.step(0)
    assert (pool.begun, job_of(engine, cancelled).state) == ([(running, 1)], "running")
    with unit_of_work(engine) as session:
        assert jobs.cancel(session, cancelled)
        assert jobs.cancel(session, running)
    later = enqueue(engine, "c", exclusive=True)
    for _ in range(2):
        dispatcher.step(0)
    assert pool.begun == [(running, 1)]  # its worker is told to stop, and has not yet
    assert pool.stopped[0] == running
    pool.said = [Done(running, 1, error=ENDED)]
    for _ in range(2):
        dispatcher.step(0)
    assert pool.begun == [(running, 1), (later, 1)]
    assert job_of(engine, running).state == "cancelled"
    last = enqueue(engine, "d")
    pool.said = [Done(later, 1, error=ENDED)]
    for _ in range(2):
        dispatcher.step(0)
    assert pool.begun[2:] == [(last, 1)]


def test_a_job_of_several_workers_waits_for_as_many_slots(engine, pool, dispatcher):
    first = enqueue(engine, "a")
    dispatcher.step(0)
    both = enqueue(engine, "b", kind="train_supernet", payload={"recipe": {"workers": 2}}, subject_id="sup_1")
    dispatcher.step(0)
    assert pool.begun == [(first, 1)]
    pool.said = [Done(first, 1, error=ENDED)]
    for _ in range(2):
        dispatcher.step(0)
    assert pool.begun == [(first, 1), (both, 1)]


def test_a_supernet_is_in_training_once_its_job_has_begun(engine, pool, dispatcher):
    search_id = start(engine, install(engine))
    for _ in range(2):
        dispatcher.step(0)
    assert len(pool.begun) == 1
    supernet_id = search_of(engine, search_id).supernet_id
    assert run_in_transaction(engine, lambda session: supernets.get(session, supernet_id)).state == "training"
