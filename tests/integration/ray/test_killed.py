"""Real processes killed, stopped and restarted under a whole search: nothing is lost, repeated or changed.

Every search here is the same one with the same seed, each on a database and in a directory of its own, so that each
trains its own supernet; its trials must be those of the search that nobody disturbed.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
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
from tests.support.parts import alive, descendants, dispatcher, end_delays, log_of, wait_until
from tests.support.searches import digits, install, search_of, start, trials_of

pytestmark = pytest.mark.slow

NUM_TRIALS = 12
NUM_STEPS = 120
RECIPE = MethodChoice(
    "sandwich",
    {"num_steps": NUM_STEPS, "num_random": 1, "curve_every_steps": 60, "checkpoint_every_steps": 5, "threads": 1},
)


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

    def dispatcher(self, ray_address: str = "none") -> AbstractContextManager[subprocess.Popen[bytes]]:
        return dispatcher(self.url, self.home, ray_address)

    def lines(self) -> list[dict]:
        """The log lines of the dispatchers; what Ray's own code prints is passed over."""
        lines = log_of(self.home).read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(self, condition: Callable[[], object]) -> None:
        wait_until(lambda: end_delays(self.engine) or condition(), log_of(self.home))

    def has_succeeded(self, search_id: str) -> bool:
        return search_of(self.engine, search_id).state == "succeeded"

    def trained_steps(self) -> int:
        with self.engine.connect() as connection:
            progress = connection.execute(text("SELECT progress FROM job WHERE kind = 'train_supernet'")).scalar()
        return int((progress or {}).get("step", 0))


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
        with place.dispatcher():
            place.wait_for(lambda: place.has_succeeded(search_id))
        return outcome(place.engine, search_id)


def check(place: Site, search_id: str, undisturbed: list[tuple]) -> None:
    assert outcome(place.engine, search_id) == undisturbed
    assert len(undisturbed) == NUM_TRIALS + 1
    assert examine(place.engine, place.home / "artifacts", place.home / "processes") == []


def kill_under_work(pid: int, name: str) -> None:
    """Kill a part of a dispatcher's Ray. Its workers stand still, so that the work is surely unfinished."""
    children = descendants(pid)
    for child in children:
        if child.name().startswith("ray::Slot"):
            child.suspend()
    (found,) = [child for child in children if child.name() == name]
    found.kill()


def serves(place: Site, pid: int) -> bool:
    return any((line["pid"], line["message"]) == (pid, "the dispatcher serves") for line in place.lines())


@pytest.mark.ray
def test_ray_is_killed_part_by_part(here, undisturbed):
    """The raylet while it trains, the head while it searches, and the dispatcher alone: Ray's agents outlive it."""
    search_id = here.start_search()
    with here.dispatcher(ray_address="") as process:
        here.wait_for(lambda: here.trained_steps() >= 10)
        kill_under_work(process.pid, "raylet")
        here.wait_for(lambda: process.poll() is not None)  # it notices, and its supervisor starts another
        assert process.returncode == 1
    assert strays(here.home / "processes") == []
    with here.dispatcher(ray_address="") as process:
        # Trials may have been told before: a head that still starts is not what is to be killed.
        here.wait_for(lambda: serves(here, process.pid) and search_of(here.engine, search_id).num_told >= 2)
        kill_under_work(process.pid, "gcs_server")
        here.wait_for(lambda: process.poll() is not None)
        assert process.returncode == 1
    assert strays(here.home / "processes") == []
    with here.dispatcher(ray_address="") as process:
        here.wait_for(lambda: len(descendants(process.pid)) > 5 and list((here.home / "processes").iterdir()))
        children = descendants(process.pid)
        here.wait_for(lambda: {child.pid for child in children if child.is_running()} <= noted(here))
        process.kill()
        process.wait()
        with here.dispatcher() as last:
            here.wait_for(lambda: here.has_succeeded(search_id))
            here.wait_for(lambda: not any(alive(child) for child in children))
            here.wait_for(lambda: serves(here, last.pid))  # a signal needs its handler, also when all is done
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
    with here.dispatcher() as first:
        here.wait_for(lambda: here.trained_steps() >= 10)
        first.send_signal(signal.SIGSTOP)
        with here.dispatcher() as second:
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
            with place.dispatcher() as process:
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
