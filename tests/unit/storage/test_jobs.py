"""The queue, case by case; `test_jobs_machine` covers the orders nobody thought of."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text, update

from nas_service.domain.records import JobRecord
from nas_service.storage import jobs, work
from nas_service.storage.session import unit_of_work
from nas_service.storage.tables import JobRow, SearchRow
from tests.support.rows import add_search

pytestmark = pytest.mark.usefixtures("empty_tables")


def enqueue(engine, key: str, **options) -> str:
    with unit_of_work(engine) as session:
        options = {"kind": "evaluate", "payload": {"key": key}, **options}
        return jobs.enqueue(session, dedup_key=key, **options)


def claim(engine, limit: int = 10, **options) -> list[jobs.ClaimedJob]:
    return jobs.claim(engine, "worker-a", limit=limit, lease_s=30, **options)


def read(engine, job_id: str) -> JobRecord:
    with unit_of_work(engine) as session:
        job = work.get(session, job_id)
    assert job is not None
    return job


def expire(engine, job_id: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET lease_until = now() - interval '1s' WHERE id = :id"), {"id": job_id})


def make_due(engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))


def attempts(engine, job_id: str) -> list[tuple]:
    query = text("SELECT epoch, outcome, reason FROM attempt WHERE job_id = :id ORDER BY epoch")
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"id": job_id})]


def set_state(engine, search_id: str, state: str) -> None:
    with unit_of_work(engine) as session:
        session.execute(update(SearchRow).where(SearchRow.id == search_id).values(state=state))


def test_a_key_is_one_job_for_ever(engine):
    first = enqueue(engine, "k")
    assert enqueue(engine, "k", payload={"other": 1}) == first
    (held,) = claim(engine)
    with unit_of_work(engine) as session:
        assert jobs.finish(session, held.id, held.epoch, {"ok": True})
    assert enqueue(engine, "k") == first
    assert read(engine, first).payload == {"key": "k"}
    assert claim(engine) == []


def test_urgent_first_and_only_the_wanted_kinds(engine):
    late, early, urgent = enqueue(engine, "a", priority=200), enqueue(engine, "b"), enqueue(engine, "c", priority=1)
    export = enqueue(engine, "d", kind="export", priority=0)
    assert [job.id for job in claim(engine, limit=2, kinds=["evaluate"])] == [urgent, early]
    assert [job.id for job in claim(engine)] == [export, late]


def test_what_an_attached_device_does_is_claimed_for_it_alone(engine):
    measurement = enqueue(engine, "m", payload={"resource": "device:pi5"}, exclusive=True, priority=1)
    first, second = enqueue(engine, "a"), enqueue(engine, "b")
    assert [job.id for job in claim(engine, limit=1)] == [first]
    assert claim(engine, resource="device:other") == []
    (held,) = claim(engine, resource="device:pi5")
    assert (held.id, held.resource) == (measurement, "device:pi5")
    assert jobs.claim(engine, "worker-b", limit=1, lease_s=30) == []  # which knows nothing of that machine
    assert [job.id for job in claim(engine)] == [second]
    with unit_of_work(engine) as session:
        assert jobs.release(session, held.id, held.epoch, "away", delay_s=100)
    assert claim(engine, resource="device:pi5") == []
    make_due(engine)
    assert [job.attempt for job in claim(engine, resource="device:pi5")] == [1]


def test_many_claimers_never_share_a_job(engine):
    ids = {enqueue(engine, str(n)) for n in range(60)}
    taken: list[str] = []
    start = threading.Barrier(5, timeout=20)

    def take() -> None:
        start.wait()
        while got := claim(engine, limit=3):
            taken.extend(job.id for job in got)

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == Counter(ids)


def test_nothing_runs_beside_an_exclusive_job_whoever_claims(engine):
    for n in range(24):
        enqueue(engine, str(n), exclusive=n % 4 == 1)
    running: Counter[bool] = Counter()
    beside: list[tuple[str, dict[bool, int]]] = []
    lock, start = threading.Lock(), threading.Barrier(3, timeout=20)

    def work(owner: str) -> None:
        start.wait()
        while True:
            held = jobs.claim(engine, owner, limit=2, lease_s=30)
            assert len(held) == 1 or not any(job.exclusive for job in held)
            for job in held:
                while job.exclusive and not told(engine, jobs.may_start_alone, claim=job, owner=owner):
                    assert beside == []
                with lock:
                    if running[True] or (job.exclusive and running.total()):
                        beside.append((job.id, dict(running)))
                    running[job.exclusive] += 1
                told(engine, jobs.report_progress, job_id=job.id, epoch=job.epoch, progress={"step": 1})
                with lock:
                    running[job.exclusive] -= 1
                told(engine, jobs.finish, job_id=job.id, epoch=job.epoch, result={})
            with unit_of_work(engine) as session:
                if session.scalar(select(JobRow.id).where(JobRow.state != "succeeded").limit(1)) is None:
                    return

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, ("one", "two", "three"), timeout=60))
    assert beside == []


def test_what_is_behind_an_exclusive_job_does_not_overtake_it(engine):
    first, alone, last = (enqueue(engine, key, exclusive=key == "b") for key in "abc")
    claimed = []
    for _ in range(3):
        (held,) = jobs.claim(engine, "one", limit=3, lease_s=30)
        told(engine, jobs.finish, job_id=held.id, epoch=held.epoch, result={})
        claimed.append(held.id)
    assert claimed == [first, alone, last]


def test_of_two_exclusive_jobs_that_were_claimed_at_once_the_first_starts(engine):
    shared, first, second = (enqueue(engine, key, exclusive=key != "a") for key in "abc")
    (beside,) = jobs.claim(engine, "one", limit=1, lease_s=30)  # what its owner runs itself is the owner's to judge
    (one,) = jobs.claim(engine, "one", limit=1, lease_s=30)
    with unit_of_work(engine) as session:  # as if neither claim had seen the other
        session.execute(update(JobRow).where(JobRow.id == first).values(exclusive=False))
    (two,) = jobs.claim(engine, "two", limit=1, lease_s=30)
    with unit_of_work(engine) as session:
        session.execute(update(JobRow).where(JobRow.id == first).values(exclusive=True))
    assert (beside.id, one.id, two.id) == (shared, first, second)
    assert told(engine, jobs.may_start_alone, claim=one, owner="one")
    assert not told(engine, jobs.may_start_alone, claim=two, owner="two")
    told(engine, jobs.finish, job_id=one.id, epoch=one.epoch, result={})
    assert not told(engine, jobs.may_start_alone, claim=two, owner="two")
    told(engine, jobs.finish, job_id=beside.id, epoch=beside.epoch, result={})
    assert told(engine, jobs.may_start_alone, claim=two, owner="two")


def test_before_a_job_starts_alone_claims_under_way_end(engine):
    enqueue(engine, "k", exclusive=True)
    (held,) = claim(engine)
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as pool, engine.connect() as claiming, engine.connect() as looking:
        claiming.execute(select(func.pg_advisory_xact_lock_shared(jobs._CLAIMING)))  # as a claim has it
        answer = pool.submit(told, engine, jobs.may_start_alone, claim=held, owner="worker-a")
        while looking.execute(waiting).scalar_one() == 0:
            assert not answer.done()
        claiming.rollback()
        assert answer.result(timeout=20)


def told(engine, function, **arguments):
    with unit_of_work(engine) as session:
        return function(session, **arguments)


def test_a_finished_job_has_its_result_and_no_lease(engine):
    job_id = enqueue(engine, "k")
    (held,) = claim(engine)
    with unit_of_work(engine) as session:
        assert jobs.report_progress(session, held.id, held.epoch, {"step": 3})
    assert read(engine, job_id).progress == {"step": 3}
    with unit_of_work(engine) as session:
        assert jobs.finish(session, held.id, held.epoch, {"accuracy": 0.5})
    job = read(engine, job_id)
    assert (job.state, job.result, job.lease_until) == ("succeeded", {"accuracy": 0.5}, None)
    assert job.finished_at is not None
    assert attempts(engine, job_id) == [(1, "succeeded", None)]


def test_a_lost_worker_is_replaced_and_its_late_result_refused(engine):
    job_id = enqueue(engine, "k")
    (old,) = claim(engine)
    assert told(engine, jobs.report_progress, job_id=job_id, epoch=old.epoch, progress={"step": 9})
    assert jobs.reap(engine) == []  # the lease holds
    expire(engine, job_id)
    (freed,) = jobs.reap(engine)
    assert (freed.id, freed.state, freed.epoch, freed.owner) == (job_id, "queued", 1, "worker-a")
    assert claim(engine) == []  # not before its delay
    make_due(engine)
    (new,) = claim(engine)
    assert (new.epoch, new.attempt) == (2, 2)

    before = read(engine, job_id)
    assert before.progress is None  # it begins anew
    with unit_of_work(engine) as session:
        assert not jobs.finish(session, job_id, old.epoch, {"late": True})
        assert not jobs.report_progress(session, job_id, old.epoch, {"late": True})
        assert not jobs.release(session, job_id, old.epoch)
        assert jobs.fail(session, job_id, old.epoch, "error", "late", retry=True) is None
    assert jobs.renew(engine, [old], 1000) == set()
    assert read(engine, job_id) == before
    assert jobs.renew(engine, [old, new], 1000) == {job_id}
    assert read(engine, job_id).lease_until > before.lease_until
    assert attempts(engine, job_id) == [(1, "lost", "worker_lost"), (2, "running", None)]
    assert read(engine, job_id).error["reason"] == "worker_lost"
    assert told(engine, jobs.finish, job_id=job_id, epoch=new.epoch, result={})
    assert read(engine, job_id).error is None  # what went wrong before is told by the attempts


def test_the_third_loss_is_quarantine(engine):
    job_id = enqueue(engine, "k")
    for _ in range(3):
        make_due(engine)
        assert len(claim(engine)) == 1
        expire(engine, job_id)
        freed = jobs.reap(engine)
    assert [job.state for job in freed] == ["quarantined"]
    job = read(engine, job_id)
    assert (job.state, job.error["reason"]) == ("quarantined", "worker_lost")
    make_due(engine)
    assert claim(engine) == []


@pytest.mark.parametrize(("retry", "state"), [(True, "queued"), (False, "failed")])
def test_a_failure_is_retried_on_request(engine, retry, state):
    job_id = enqueue(engine, "k")
    (held,) = claim(engine)
    with unit_of_work(engine) as session:
        assert jobs.fail(session, held.id, held.epoch, "oom", "no memory", retry) == state
    job = read(engine, job_id)
    assert (job.state, job.error) == (state, {"reason": "oom", "message": "no memory"})
    assert (job.finished_at is None) == retry
    assert attempts(engine, job_id) == [(1, "failed", "oom")]


def test_the_last_failure_is_quarantine(engine):
    enqueue(engine, "k", max_attempts=1)
    (held,) = claim(engine)
    with unit_of_work(engine) as session:
        assert jobs.fail(session, held.id, held.epoch, "error", "bad", retry=True) == "quarantined"


def test_giving_back_costs_no_attempt(engine):
    enqueue(engine, "k", max_attempts=1)
    for epoch in (1, 2, 3):
        (held,) = claim(engine)
        assert (held.epoch, held.attempt) == (epoch, 1)
        with unit_of_work(engine) as session:
            assert jobs.release(session, held.id, held.epoch)


@pytest.mark.parametrize("state", ["pausing", "paused", "cancelled"])
def test_no_work_for_a_search_that_wants_none(engine, state):
    with unit_of_work(engine) as session:
        search_id = add_search(session)
    waiting = enqueue(engine, "k", search_id=search_id)
    free = enqueue(engine, "free")
    set_state(engine, search_id, state)
    assert [job.id for job in claim(engine)] == [free]
    set_state(engine, search_id, "running")
    assert [job.id for job in claim(engine)] == [waiting]


def test_cancelling_a_search_ends_its_jobs_and_fences_its_workers(engine):
    with unit_of_work(engine) as session:
        search_id = add_search(session)
    running = enqueue(engine, "a", search_id=search_id)
    (held,) = claim(engine)
    queued, other = enqueue(engine, "b", search_id=search_id), enqueue(engine, "other")
    with unit_of_work(engine) as session:
        assert jobs.cancel_for_search(session, search_id) == sorted([running, queued])
        assert jobs.cancel_for_search(session, search_id) == []
    with unit_of_work(engine) as session:
        assert not jobs.finish(session, held.id, held.epoch, {})
    assert jobs.renew(engine, [held], 30) == set()
    assert [read(engine, job).state for job in (running, queued)] == ["cancelled", "cancelled"]
    assert attempts(engine, running) == [(1, "released", "cancelled")]
    assert read(engine, other).state == "queued"


def test_a_job_that_slipped_past_the_cancellation_is_reaped(engine):
    with unit_of_work(engine) as session:
        search_id = add_search(session)
    job_id = enqueue(engine, "a", search_id=search_id)
    claim(engine)
    set_state(engine, search_id, "cancelled")
    assert [(freed.id, freed.state) for freed in jobs.reap(engine)] == [(job_id, "cancelled")]
    assert read(engine, job_id).state == "cancelled"


def test_the_database_refuses_a_lease_without_a_runner(engine):
    job_id = enqueue(engine, "a")
    with pytest.raises(Exception, match="lease_iff_running"), unit_of_work(engine) as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(state="running"))


def test_delays_double_up_to_five_minutes():
    for attempt, base in ((1, 10), (2, 20), (3, 40), (9, 300)):
        delays = [jobs.retry_delay_s(attempt) for _ in range(50)]
        assert 0.5 * base <= min(delays) < max(delays) <= 1.5 * base
