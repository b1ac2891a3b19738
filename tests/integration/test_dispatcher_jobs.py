"""The dispatcher with a pool of processes: what it refuses, and what its log says of a job and of the worker's part."""

from __future__ import annotations

import io
import json
import logging
import time
from dataclasses import replace

import pytest

from nas_service import logs
from nas_service.datasets.store import DatasetStore
from nas_service.domain.records import JobRecord
from nas_service.domain.search import MethodChoice
from nas_service.storage import installation, jobs, work
from nas_service.storage.doctor import examine
from nas_service.storage.session import run_in_transaction, unit_of_work
from tests.support.searches import digits, install, search_of, start
from workers.dispatch import Dispatcher, Timing
from workers.local_pool import LocalPool

DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def pool(engine, tmp_path_factory):
    artifacts = tmp_path_factory.mktemp("artifacts")
    DatasetStore(artifacts / "datasets").write(digits())
    installed = run_in_transaction(engine, installation.ensure)
    installation.mark_artifacts(installed, artifacts)
    pool = LocalPool(artifacts, installed.artifact_marker, num_slots=1)
    yield pool
    pool.close()


@pytest.fixture
def lines():
    """What is logged meanwhile, line by line."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)


def run_search(engine, pool, **params):
    spec = install(engine)
    recipe = MethodChoice("sandwich", {"num_steps": 4, "num_random": 0, **params})
    search_id = start(engine, replace(spec, evaluator=replace(spec.evaluator, recipe=recipe)))
    dispatcher = Dispatcher(engine, pool, Timing())
    deadline = time.monotonic() + DEADLINE_S
    while search_of(engine, search_id).state != "failed":
        assert time.monotonic() < deadline
        dispatcher.step()
    assert examine(engine) == []
    return search_of(engine, search_id)


def test_more_workers_than_there_are_is_an_answer_at_once(engine, pool, lines):
    search = run_search(engine, pool, workers=2, accumulation=2)
    assert search.error["reason"] == "supernet_failed"
    text = search.error["cause"]["message"]
    assert "asks for 2 workers, a job here can have 1" in text
    assert "use Ray" in text
    (refusal,) = [line for line in lines() if line["message"].startswith("refused")]
    assert refusal == refusal | {"level": "warning", "kind": "train_supernet", "epoch": 1}
    assert refusal["supernet_id"] == search.supernet_id
    assert refusal["job_id"].startswith("job_")


def test_a_measurement_waits_for_what_other_dispatchers_run(engine, pool):
    install(engine)
    with unit_of_work(engine) as session:
        theirs = jobs.enqueue(session, kind="export", dedup_key="theirs", payload={})
    (held,) = jobs.claim(engine, "another host:1", limit=1, lease_s=60)
    with unit_of_work(engine) as session:
        ours = jobs.enqueue(session, kind="evaluate", dedup_key="ours", payload={}, exclusive=True, priority=1)
        later = jobs.enqueue(session, kind="export", dedup_key="later", payload={})

    def states() -> dict[str, str]:
        with unit_of_work(engine) as session:
            return {job_id: work.get(session, job_id).state for job_id in (theirs, ours, later)}

    dispatcher = Dispatcher(engine, pool, Timing())
    for _ in range(3):
        dispatcher.step(0.01)
    assert states() == {theirs: "running", ours: "running", later: "queued"}
    assert pool.num_busy == 0  # claimed, so that nobody begins anything else, and not begun
    assert jobs.claim(engine, "another host:1", limit=1, lease_s=60) == []
    with unit_of_work(engine) as session:
        jobs.finish(session, held.id, held.epoch, {})
    deadline = time.monotonic() + DEADLINE_S
    while states()[later] == "queued":
        assert time.monotonic() < deadline
        dispatcher.step(0.01)
    assert states()[ours] == "failed"  # it has run: there was nothing to evaluate
    dispatcher.drain()


def test_a_job_for_a_device_that_is_away_waits_and_holds_up_nothing(engine, pool, lines):
    with unit_of_work(engine) as session:
        key = {"kind": "measure", "dedup_key": "gone", "exclusive": True, "priority": 0}
        job_id = jobs.enqueue(session, payload={"resource": "device:pi5"}, **key)
        other = jobs.enqueue(session, kind="evaluate", dedup_key="other", payload={})
    dispatcher = Dispatcher(engine, pool, Timing())

    def read(job_id: str) -> JobRecord:
        with unit_of_work(engine) as session:
            return work.get(session, job_id)

    (held,) = jobs.claim(engine, dispatcher.owner, limit=1, lease_s=60, resource="device:pi5")
    dispatcher._claims[held.id] = held  # the device has left in this moment
    dispatcher._waiting.append(held)
    deadline = time.monotonic() + DEADLINE_S
    while read(other).state != "failed":  # it has run: there was nothing to evaluate
        assert time.monotonic() < deadline
        dispatcher.step(0.01)
    job = read(job_id)
    assert (job.state, job.attempt, job.epoch, job.error) == ("queued", 0, 1, None)
    assert [line["kind"] for line in lines() if line["message"] == "put off: device:pi5 is away"] == ["measure"]
    with unit_of_work(engine) as session:
        jobs.cancel(session, job_id)


class WithDevice:
    """The pool, and a device on another machine that never ends what it begins."""

    def __init__(self, pool: LocalPool) -> None:
        self._pool = pool
        self.devices = {"device:pi5": {"id": "a"}}
        self.quiet, self.reserved, self.begun = False, set(), []

    def __getattr__(self, name):
        return getattr(self._pool, name)

    def is_quiet(self, device):
        return self.quiet

    def reserve(self, devices):
        self.reserved = set(devices)

    def submit(self, job_id, epoch, kind, payload):
        if payload.get("resource"):
            self.begun.append(job_id)
        else:
            self._pool.submit(job_id, epoch, kind, payload)


def test_a_measurement_on_a_device_holds_up_its_machine_alone(engine, pool):
    there = WithDevice(pool)
    dispatcher = Dispatcher(engine, there, Timing())
    with unit_of_work(engine) as session:
        key = {"kind": "measure", "payload": {"resource": "device:pi5"}, "exclusive": True, "priority": 0}
        first, second = (jobs.enqueue(session, dedup_key=name, **key) for name in ("pi5 first", "pi5 second"))
        other = jobs.enqueue(session, kind="evaluate", dedup_key="beside pi5", payload={})

    def state(job_id: str) -> str:
        with unit_of_work(engine) as session:
            return work.get(session, job_id).state

    deadline = time.monotonic() + DEADLINE_S
    while state(other) != "failed":  # it has run: there was nothing to evaluate
        assert time.monotonic() < deadline
        dispatcher.step(0.01)
    assert (state(first), there.begun, there.reserved) == ("running", [], {"device:pi5"})  # its machine is busy still
    there.quiet = True
    dispatcher.step(0.01)
    assert (there.begun, state(second)) == ([first], "queued")
    with unit_of_work(engine) as session:
        for job_id in (first, second):
            jobs.cancel(session, job_id)


def test_the_log_of_a_job_is_whole(engine, pool, lines):
    search = run_search(engine, pool, learning_rate=100.0, warmup_steps=0, gradient_clip_norm=None, num_steps=40)
    assert search.error["cause"]["reason"] == "invalid_metric"
    about = [line for line in lines() if line.get("kind") == "train_supernet"]
    assert [line["message"].split("(")[0].strip() for line in about] == [
        "the job starts",
        "job of kind train_supernet failed",
        "the job failed",
    ]
    assert len({line["job_id"] for line in about}) == 1
    started, worker, ended = about
    assert "InvalidMetricError" in worker["error"]  # the worker's own line, with its traceback and its process
    assert worker["pid"] != started["pid"] == ended["pid"]
    assert worker["supernet_id"] == search.supernet_id
