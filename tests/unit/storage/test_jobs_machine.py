"""Any order of queueing, claiming, stalling, reaping and reporting: no job runs twice at once, none is lost, and a
superseded claim changes nothing. Each step is compared with a model of a few lines, on real Postgres."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import text

from nas_service.storage import jobs
from nas_service.storage.session import unit_of_work
from tests.support.rows import add_search

TABLES = "job, attempt, event, search, search_space, dataset"


@dataclass
class Expected:
    """What the job should be: its state, the epoch of the last claim, counted attempts, and the accepted result."""

    state: str = "queued"
    epoch: int = 0
    attempt: int = 0
    result: dict | None = None
    exclusive: bool = False
    owner: str = ""
    due: bool = True
    expired: bool = False
    outcomes: list[str] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    engine = None  # given by the test
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        with self.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE"))
        with unit_of_work(self.engine) as session:
            self.search_id = add_search(session)
        self.search_state = "running"
        self.ids: dict[str, str] = {}
        self.expected: dict[str, Expected] = {}
        self.in_search: set[str] = set()

    @rule(key=st.sampled_from("abcdef"), in_search=st.booleans(), exclusive=st.sampled_from([False, False, True]))
    def enqueue(self, key, in_search, exclusive):
        with unit_of_work(self.engine) as session:
            search_id = self.search_id if in_search else None
            options = {"search_id": search_id, "exclusive": exclusive}
            job_id = jobs.enqueue(session, kind="evaluate", dedup_key=key, payload={}, **options)
        if key in self.ids:
            assert job_id == self.ids[key]
            return
        self.ids[key] = job_id
        self.expected[job_id] = Expected(exclusive=exclusive)
        if in_search:
            self.in_search.add(job_id)

    @rule(target=claims, owner=st.sampled_from(["one", "two"]), limit=st.integers(1, 3))
    def claim(self, owner, limit):
        claimed = jobs.claim(self.engine, owner, limit=limit, lease_s=1000)
        allowed = {
            job_id
            for job_id, job in self.expected.items()
            if job.state == "queued" and job.due and (job_id not in self.in_search or self.search_state == "running")
        }
        due = sorted(allowed)[:limit]
        shared = list(takewhile(lambda job_id: not self.expected[job_id].exclusive, due))
        one_is_alone = any(job.state == "running" and job.exclusive for job in self.expected.values())
        assert [job.id for job in claimed] == ([] if one_is_alone else shared or due[:1])
        for held in claimed:
            job = self.expected[held.id]
            job.owner = owner
            job.state, job.epoch, job.attempt, job.expired = "running", job.epoch + 1, job.attempt + 1, False
            job.outcomes.append("running")
            assert (held.epoch, held.attempt) == (job.epoch, job.attempt)
        return multiple(*claimed)

    def holds(self, held: jobs.ClaimedJob) -> bool:
        job = self.expected[held.id]
        return job.state == "running" and job.epoch == held.epoch

    def leave(self, held_id: str, state: str, outcome: str) -> None:
        job = self.expected[held_id]
        job.state, job.due, job.expired = state, False, False
        if job.outcomes and job.outcomes[-1] == "running":
            job.outcomes[-1] = outcome

    @rule(held=claims, asking=st.sampled_from(["one", "two"]))
    def ask_to_start_alone(self, held, asking):
        others = {
            job_id
            for job_id, job in self.expected.items()
            if job.state == "running" and job.owner != asking and not (job.exclusive and job_id >= held.id)
        }
        with unit_of_work(self.engine) as session:
            assert jobs.may_start_alone(session, held, asking) == (not others)

    @rule(held=claims, value=st.integers())
    def finish(self, held, value):
        holds, result = self.holds(held), {"value": str(value)}
        with unit_of_work(self.engine) as session:
            assert jobs.finish(session, held.id, held.epoch, result) == holds
        if holds:
            self.leave(held.id, "succeeded", "succeeded")
            self.expected[held.id].result = result

    @rule(held=claims, retry=st.booleans())
    def fail(self, held, retry):
        holds, job = self.holds(held), self.expected[held.id]
        with unit_of_work(self.engine) as session:
            state = jobs.fail(session, held.id, held.epoch, "error", "broken", retry)
        if not holds:
            assert state is None
            return
        assert state == ("failed" if not retry else "queued" if job.attempt < 3 else "quarantined")
        self.leave(held.id, state, "failed")

    @rule(held=claims)
    def release(self, held):
        holds = self.holds(held)
        with unit_of_work(self.engine) as session:
            assert jobs.release(session, held.id, held.epoch) == holds
        if holds:
            self.leave(held.id, "queued", "released")
            self.expected[held.id].attempt -= 1
            self.expected[held.id].due = True

    @rule(held=st.lists(claims, max_size=4))
    def renew(self, held):
        assert jobs.renew(self.engine, held, 1000) == {one.id for one in held if self.holds(one)}
        for one in held:
            if self.holds(one):
                self.expected[one.id].expired = False

    @rule(held=claims)
    def stall(self, held):
        with self.engine.begin() as connection:
            query = "UPDATE job SET lease_until = now() - interval '1s' WHERE id = :id AND state = 'running'"
            connection.execute(text(query), {"id": held.id})
        job = self.expected[held.id]
        job.expired = job.state == "running"

    @rule()
    def reap(self):
        due = {job_id: job for job_id, job in self.expected.items() if job.expired}
        orphans = set()
        if self.search_state == "cancelled":
            orphans = {i for i in self.in_search if self.expected[i].state in ("queued", "running")}
        freed = jobs.reap(self.engine)
        states = {one.id: one.state for one in freed}
        for job_id, job in due.items():
            self.leave(job_id, "queued" if job.attempt < 3 else "quarantined", "lost")
        for job_id in orphans:
            if self.expected[job_id].state == "queued" or job_id not in due:
                self.leave(job_id, "cancelled", "released")
        assert states == {job_id: self.expected[job_id].state for job_id in set(due) | orphans}

    @rule()
    def wait_for_delays(self):
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued'"))
        for job in self.expected.values():
            job.due = True

    @rule(state=st.sampled_from(["running", "pausing", "paused"]))
    def pause_or_resume(self, state):
        if self.search_state != "cancelled":
            self._set_search(state)

    @rule(with_its_jobs=st.booleans())
    def cancel(self, with_its_jobs):
        self._set_search("cancelled")
        if with_its_jobs:
            with unit_of_work(self.engine) as session:
                ids = set(jobs.cancel_for_search(session, self.search_id))
            assert ids == {i for i in self.in_search if self.expected[i].state in ("queued", "running")}
            for job_id in ids:
                self.leave(job_id, "cancelled", "released")

    def _set_search(self, state):
        self.search_state = state
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE search SET state = :state"), {"state": state})

    @invariant()
    def database_agrees(self):
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT id, state, epoch, attempt, result FROM job")).all()
            tries = connection.execute(text("SELECT job_id, outcome FROM attempt ORDER BY job_id, epoch")).all()
        stored = {row.id: (row.state, row.epoch, row.attempt, row.result) for row in rows}
        assert stored == {i: (job.state, job.epoch, job.attempt, job.result) for i, job in self.expected.items()}
        outcomes = {job_id: [row.outcome for row in tries if row.job_id == job_id] for job_id in stored}
        assert outcomes == {job_id: job.outcomes for job_id, job in self.expected.items()}


def test_any_order_of_operations(engine):
    machine = type("QueueOnDatabase", (Queue,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
