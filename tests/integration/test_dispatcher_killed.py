"""The dispatcher as a process of its own, killed while it trains and while it searches: nothing is lost or repeated."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.storage import supernets
from nas_service.storage.doctor import examine
from nas_service.storage.session import run_in_transaction
from tests.support.parts import dispatcher, end_delays, log_of, wait_until
from tests.support.searches import digits, install, search_of, start, trials_of

RECIPE = MethodChoice(
    "sandwich", {"num_steps": 60, "num_random": 1, "curve_every_steps": 10, "checkpoint_every_steps": 10}
)


@pytest.fixture
def home(tmp_path):
    DatasetStore(tmp_path / "artifacts" / "datasets").write(digits())
    return tmp_path


@pytest.mark.slow
def test_a_killed_dispatcher_loses_and_repeats_nothing(engine, database_url, home, empty_tables):
    spec = replace(install(engine), budget=Budget(trials=20), finalists=Finalists(count=2), parallelism=4)
    spec = replace(spec, evaluator=replace(spec.evaluator, recipe=RECIPE))
    search_id = start(engine, spec)

    def curve():
        supernet_id = search_of(engine, search_id).supernet_id
        return run_in_transaction(engine, lambda session: supernets.curve(session, supernet_id))

    def undelayed(condition):
        wait_until(lambda: end_delays(engine) or condition(), log_of(home))

    with dispatcher(database_url, home) as process:
        undelayed(lambda: any(point.step >= 20 for point in curve()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with dispatcher(database_url, home) as process:
        undelayed(lambda: search_of(engine, search_id).num_told >= 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with dispatcher(database_url, home) as process:
        undelayed(lambda: search_of(engine, search_id).state == "succeeded")
        # The same again, undisturbed: the sequence of architectures is the same, so every result is found.
        second = start(engine, replace(spec, name="undisturbed"))
        undelayed(lambda: search_of(engine, second).state == "succeeded")
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
