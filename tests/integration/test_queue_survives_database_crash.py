"""The queue under load while Postgres is stopped in immediate mode and started again, twice."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from nas_service.errors import Unavailable
from nas_service.storage import events, jobs, migrate
from nas_service.storage.doctor import examine
from nas_service.storage.embedded import EmbeddedPostgres
from nas_service.storage.session import make_engine, unit_of_work
from tests.support.postgres import FAST

NUM_JOBS = 150


@pytest.fixture
def server():
    home = Path(tempfile.mkdtemp(prefix="nas-test-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home, FAST)
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(home, ignore_errors=True)


def test_every_job_is_recorded_once(server):
    engine = make_engine(server.url())
    migrate.upgrade(engine)
    with unit_of_work(engine) as session:
        for n in range(NUM_JOBS):
            jobs.enqueue(session, kind="evaluate", dedup_key=str(n), payload={"n": n}, max_attempts=100)
    interruptions, failures = [], []

    def count(state: str) -> int:
        with unit_of_work(engine) as session:
            return session.execute(text("SELECT count(*) FROM job WHERE state = :s"), {"s": state}).scalar_one()

    def record(job: jobs.ClaimedJob) -> None:
        with unit_of_work(engine) as session:
            if jobs.finish(session, job.id, job.epoch, {"n": job.payload["n"]}):
                events.record(session, "done", {"n": job.payload["n"]})

    def work(owner: str) -> None:
        try:
            while True:
                try:
                    if count("succeeded") == NUM_JOBS:
                        return
                    jobs.reap(engine)
                    with unit_of_work(engine) as session:  # no waiting for delays
                        session.execute(text("UPDATE job SET run_after = now() WHERE id IN (SELECT id FROM job "
                                             "WHERE state = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED)"))  # fmt: skip
                    for job in jobs.claim(engine, owner, limit=2, lease_s=2):
                        record(job)
                except Unavailable:
                    interruptions.append(owner)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"worker-{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for share in (0.2, 0.6):
        while count("succeeded") < share * NUM_JOBS and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        server.stop("immediate")
        server.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert interruptions  # the crash was felt
    with unit_of_work(engine) as session:
        done = [event.data["n"] for event in events.read(session, None, 0, 10 * NUM_JOBS)]
    assert sorted(done) == list(range(NUM_JOBS))
    assert examine(engine) == []
    engine.dispose()
