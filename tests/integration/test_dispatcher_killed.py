"""The dispatcher as a process of its own, killed while it trains and while it searches: nothing is lost or repeated."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.storage import supernets
from nas_service.storage.doctor import examine
from nas_service.storage.session import run_in_transaction
from tests.support.searches import digits, install, search_of, start, trials_of

RECIPE = MethodChoice(
    "sandwich", {"num_steps": 60, "num_random": 1, "curve_every_steps": 10, "checkpoint_every_steps": 10}
)


@pytest.fixture
def home(tmp_path):
    DatasetStore(tmp_path / "artifacts" / "datasets").write(digits())
    return tmp_path


@contextmanager
def dispatcher(database_url, home):
    environment = {
        **os.environ,
        "NAS_HOME": str(home),
        "NAS_DATABASE_URL": database_url,
        "NAS_RAY_ADDRESS": "none",
        "NAS_LEASE_S": "3",
        "NAS_RENEW_S": "1",
    }
    with open(home / "dispatcher.log", "ab") as log:
        command = [sys.executable, "-m", "workers.dispatch"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition, home, timeout_s=180.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, (home / "dispatcher.log").read_text()[-3000:]
        time.sleep(0.05)


def end_delays(engine):
    """A lost job waits before its next attempt; the test does not."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
    return False


@pytest.mark.slow
def test_a_killed_dispatcher_loses_and_repeats_nothing(engine, database_url, home, empty_tables):
    spec = replace(install(engine), budget=Budget(trials=20), finalists=Finalists(count=2), parallelism=4)
    spec = replace(spec, evaluator=replace(spec.evaluator, recipe=RECIPE))
    search_id = start(engine, spec)

    def curve():
        supernet_id = search_of(engine, search_id).supernet_id
        return run_in_transaction(engine, lambda session: supernets.curve(session, supernet_id))

    with dispatcher(database_url, home) as process:
        wait_for(lambda: any(point.step >= 20 for point in curve()), home)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with dispatcher(database_url, home) as process:
        wait_for(lambda: search_of(engine, search_id).num_told >= 5 or end_delays(engine), home)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with dispatcher(database_url, home) as process:
        wait_for(lambda: search_of(engine, search_id).state == "succeeded" or end_delays(engine), home)
        # The same again, undisturbed: the sequence of architectures is the same, so every result is found.
        second = start(engine, replace(spec, name="undisturbed"))
        wait_for(lambda: search_of(engine, second).state == "succeeded", home)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    first = trials_of(engine, search_id)
    assert [trial.number for trial in first] == list(range(20))
    assert {trial.state for trial in first} == {"succeeded"}
    again = trials_of(engine, second)
    assert [trial.architecture_hash for trial in again] == [trial.architecture_hash for trial in first]
    assert [trial.reused_from for trial in again] == [trial.id for trial in first]
    assert examine(engine, home / "artifacts") == []
    # Training went on from a checkpoint under a later epoch instead of starting again.
    assert {point.epoch for point in curve() if point.step <= 10} == {1}
    assert max(point.epoch for point in curve()) > 1
