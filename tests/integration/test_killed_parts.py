"""Real processes killed, stopped and restarted under a whole search: nothing is lost, repeated or changed.

Every search here is the same one with the same seed, each on a database and in a directory of its own, so that each
trains its own supernet; its trials must be those of the search that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text

from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.processes import strays
from nas_service.storage import migrate
from nas_service.storage.doctor import examine
from nas_service.storage.embedded import EmbeddedPostgres
from nas_service.storage.session import Engine, make_engine
from tests.support import postgres
from tests.support.api import app_on, new_key, served
from tests.support.searches import digits, install, search_of, start, trials_of

pytestmark = pytest.mark.slow

NUM_TRIALS = 12
NUM_STEPS = 120
RECIPE = MethodChoice(
    "sandwich",
    {"num_steps": NUM_STEPS, "num_random": 1, "curve_every_steps": 60, "checkpoint_every_steps": 5, "threads": 1},
)
DEADLINE_S = 240.0


@dataclass
class Site:
    """A database and a home of their own."""

    url: str
    engine: Engine
    home: Path

    def start_search(self) -> str:
        spec = install(self.engine)
        budget, finalists = Budget(trials=NUM_TRIALS), Finalists(count=1)
        evaluator = replace(spec.evaluator, recipe=RECIPE)
        return start(self.engine, replace(spec, budget=budget, finalists=finalists, evaluator=evaluator))

    @property
    def log(self) -> str:
        path = self.home / "dispatcher.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def lines(self) -> list[dict]:
        """The log lines of the dispatchers; what Ray's own code prints is passed over."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, self.log[-3000:]
            end_delays(self.engine)
            time.sleep(0.05)

    def has_succeeded(self, search_id: str) -> bool:
        return search_of(self.engine, search_id).state == "succeeded"

    def trained_steps(self) -> int:
        with self.engine.connect() as connection:
            progress = connection.execute(text("SELECT progress FROM job WHERE kind = 'train_supernet'")).scalar()
        return int((progress or {}).get("step", 0))


def end_delays(engine: Engine) -> None:
    """A lost job waits before its next attempt; the tests do not."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued' AND run_after > now()"))


@contextmanager
def site(url: str, home: Path) -> Iterator[Site]:
    home.mkdir(exist_ok=True)
    DatasetStore(home / "artifacts" / "datasets").write(digits())
    engine = make_engine(url)
    yield Site(url, engine, home)
    engine.dispose()


@pytest.fixture
def here(postgres_server, migrated_template, tmp_path) -> Iterator[Site]:
    with postgres.database(postgres_server, migrated_template) as url, site(url, tmp_path / "home") as found:
        yield found


@contextmanager
def dispatcher(place: Site, ray_address: str = "none") -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "NAS_HOME": str(place.home),
        "NAS_DATABASE_URL": place.url,
        "NAS_RAY_ADDRESS": ray_address,
        "NAS_LEASE_S": "3",
        "NAS_RENEW_S": "1",
    }
    with open(place.home / "dispatcher.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.dispatch"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        # Without mercy for the test's own sake: a failed test leaves nothing behind.
        for child in [*psutil_children(process.pid), *([process] if process.poll() is None else [])]:
            try:
                child.send_signal(signal.SIGKILL)
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
        process.wait()


def psutil_children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def outcome(engine: Engine, search_id: str) -> list[tuple]:
    """Architectures in order with accuracies and MACs, of the search and of its finalists."""
    trials = [trial for stage in ("search", "final") for trial in trials_of(engine, search_id, stage)]
    return [(t.stage, t.number, t.architecture_hash, t.state, t.accuracy_top1, t.loss, t.macs) for t in trials]


@pytest.fixture(scope="module")
def undisturbed(postgres_server, migrated_template, tmp_path_factory) -> list[tuple]:
    """The outcome when nothing goes wrong."""
    home = tmp_path_factory.mktemp("undisturbed")
    with postgres.database(postgres_server, migrated_template) as url, site(url, home) as place:
        search_id = place.start_search()
        with dispatcher(place):
            place.wait_for(lambda: place.has_succeeded(search_id))
        return outcome(place.engine, search_id)


def check(place: Site, search_id: str, undisturbed: list[tuple]) -> None:
    assert outcome(place.engine, search_id) == undisturbed
    assert len(undisturbed) == NUM_TRIALS + 1
    assert examine(place.engine, place.home / "artifacts", place.home / "processes") == []


def kill_under_work(pid: int, name: str) -> None:
    """Kill a part of a dispatcher's Ray. Its workers stand still, so that the work is surely unfinished."""
    children = psutil_children(pid)
    for child in children:
        if child.name().startswith("ray::Slot"):
            child.suspend()
    (found,) = [child for child in children if child.name() == name]
    found.kill()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def serves(place: Site, pid: int) -> bool:
    return any((line["pid"], line["message"]) == (pid, "the dispatcher serves") for line in place.lines())


def has_part(pid: int, name: str) -> bool:
    return any(child.name() == name for child in psutil_children(pid))


@pytest.mark.ray
def test_ray_is_killed_part_by_part(here, undisturbed):
    """The raylet while it trains, the head while it searches, and the dispatcher alone: Ray's agents outlive it."""
    search_id = here.start_search()
    with dispatcher(here, ray_address="") as process:
        here.wait_for(lambda: here.trained_steps() >= 10)
        kill_under_work(process.pid, "raylet")
        here.wait_for(lambda: process.poll() is not None)  # it notices, and its supervisor starts another
        assert process.returncode == 1
    assert strays(here.home / "processes") == []
    with dispatcher(here, ray_address="") as process:
        here.wait_for(lambda: search_of(here.engine, search_id).num_told >= 2 and has_part(process.pid, "gcs_server"))
        kill_under_work(process.pid, "gcs_server")
        here.wait_for(lambda: process.poll() is not None)
        assert process.returncode == 1
    assert strays(here.home / "processes") == []
    with ExitStack() as third:
        process = third.enter_context(dispatcher(here, ray_address=""))
        here.wait_for(lambda: len(psutil_children(process.pid)) > 5 and list((here.home / "processes").iterdir()))
        children = psutil_children(process.pid)
        here.wait_for(lambda: {child.pid for child in children if child.is_running()} <= noted(here))
        process.kill()
        process.wait()
        with dispatcher(here) as last:
            here.wait_for(lambda: here.has_succeeded(search_id))
            here.wait_for(lambda: not any(alive(child) for child in children))
            here.wait_for(
                lambda: serves(here, last.pid)
            )  # the search may have been done before: a signal needs its handler
            last.send_signal(signal.SIGTERM)
            assert last.wait(timeout=20) == 0
    check(here, search_id, undisturbed)
    messages = Counter(line["message"] for line in here.lines())
    assert messages["the dispatcher ends"] == 2
    reasons = [line["error"] for line in here.lines() if line["message"] == "the dispatcher ends"]
    assert "every node of the Ray cluster is dead" in reasons[0], reasons[0]
    assert "has not answered" in reasons[1], reasons[1]


def noted(place: Site) -> set[int]:
    return {
        entry["pid"]
        for path in (place.home / "processes").glob("*.json")
        for entry in json.loads(path.read_text())["processes"]
    }


def everything(engine: Engine) -> dict[str, str]:
    """A digest of every table."""
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        query = "SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM \"{}\" t"
        return {table: connection.execute(text(query.format(table))).scalar_one() for table in tables}


def test_a_stopped_dispatcher_wakes_up_after_its_lease(here, undisturbed):
    """It holds results of its workers; another one has done the work meanwhile. Its writes change nothing."""
    search_id = here.start_search()
    with dispatcher(here) as first:
        here.wait_for(lambda: here.trained_steps() >= 10)
        first.send_signal(signal.SIGSTOP)
        with dispatcher(here) as second:
            here.wait_for(lambda: here.has_succeeded(search_id))
            second.send_signal(signal.SIGTERM)
            assert second.wait(timeout=20) == 0
        before = everything(here.engine)
        mark = len(here.lines())
        first.send_signal(signal.SIGCONT)
        late = "the result came too late: the claim is superseded, nothing was changed"
        here.wait_for(lambda: any(line["message"] == late for line in here.lines()[mark:]))
        assert everything(here.engine) == before
        (line,) = [line for line in here.lines()[mark:] if line["message"] == late]
        assert (line["kind"], line["epoch"]) == ("train_supernet", 1)
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=20) == 0
    check(here, search_id, undisturbed)


def test_postgres_is_restarted_under_a_search(undisturbed, tmp_path):
    """Stopped in immediate mode, which is a crash, while it trains and while it searches; the dispatcher stays."""
    home = Path(tempfile.mkdtemp(prefix="nas-test-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home, postgres.FAST)
    try:
        url = server.start()
        migrated = make_engine(url)
        migrate.upgrade(migrated)
        migrated.dispose()
        with site(url, tmp_path / "home") as place:
            search_id = place.start_search()
            with dispatcher(place) as process:
                for condition in (
                    lambda: place.trained_steps() >= 10,
                    lambda: search_of(place.engine, search_id).num_told >= 4,
                ):
                    place.wait_for(condition)
                    server.stop("immediate")
                    server.start()
                place.wait_for(lambda: place.has_succeeded(search_id))
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=20) == 0
            check(place, search_id, undisturbed)
    finally:
        server.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)


def test_fifty_equal_submissions_make_one_search(here):
    """At once, each on a connection of its own, with one Idempotency-Key."""
    install(here.engine)
    key = new_key(here.engine)
    body = {
        "name": "fifty",
        "space": {"library": "digits-mobile"},
        "dataset": "digits",
        "objectives": [{"metric": "accuracy_top1"}, {"metric": "macs"}],
        "evaluator": {"recipe": {"name": "sandwich"}},
        "budget": {"trials": 10},
    }
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "the-same-one"}
    answers: list[httpx.Response] = []
    together = threading.Barrier(50)

    def submit(url: str) -> None:
        together.wait()
        answers.append(httpx.post(f"{url}/v1/searches", json=body, headers=headers, timeout=60))

    with served(app_on(here.url, here.home)) as url:
        threads = [threading.Thread(target=submit, args=(url,)) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 50
    assert {answer.status_code for answer in answers} <= {201, 202}, answers[0].text
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    with here.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM search")).scalar_one() == 1
    assert examine(here.engine) == []
