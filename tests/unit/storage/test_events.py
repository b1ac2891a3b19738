"""The log: written with the transaction or not at all, numbered as readers see it."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from nas_service.storage import events
from nas_service.storage.session import unit_of_work
from tests.support.rows import add_search

pytestmark = pytest.mark.usefixtures("empty_tables")


def all_events(engine, search_id=None, after=0, limit=1000) -> list[events.Event]:
    with unit_of_work(engine) as session:
        return events.read(session, search_id, after, limit)


def test_an_event_shares_the_fate_of_its_transaction(engine):
    def interrupted():
        with unit_of_work(engine) as session:
            events.record(session, "lost", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with unit_of_work(engine) as session:
        events.record(session, "kept", {"n": 1})
    assert [(event.type, event.data) for event in all_events(engine)] == [("kept", {"n": 1})]


def test_a_savepoint_takes_only_its_own_events_back(engine):
    def undone(session):
        with session.begin_nested():
            events.record(session, "undone", {})
            raise RuntimeError

    with unit_of_work(engine) as session:
        events.record(session, "before", {})
        with pytest.raises(RuntimeError):
            undone(session)
        with session.begin_nested():
            events.record(session, "inside", {})
        events.record(session, "after", {})
    assert [event.type for event in all_events(engine)] == ["before", "inside", "after"]


def test_pages_by_cursor_and_search(engine):
    with unit_of_work(engine) as session:
        one, two = add_search(session), add_search(session)
        for n in range(5):
            events.record(session, "step", {"n": n}, search_id=one if n % 2 else two)
    assert [event.data["n"] for event in all_events(engine, two)] == [0, 2, 4]
    first = all_events(engine, two, limit=2)
    assert [event.data["n"] for event in all_events(engine, two, after=first[-1].seq)] == [4]
    with unit_of_work(engine) as session:
        assert events.last_seq(session) == all_events(engine)[-1].seq


def test_a_follower_misses_nothing_while_many_write(engine):
    writers, each = 4, 40
    seen: list[int] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for n in range(each):
            with unit_of_work(engine) as session:
                events.record(session, "step", {"id": f"{writer}-{n}"})
                # other work between noting and committing, of varying length
                session.execute(text("SELECT sum(x) FROM generate_series(1, :n) AS x"), {"n": (n * 7919) % 5000})

    def follow() -> None:
        while True:
            last_look = done.is_set()
            seen.extend(event.seq for event in all_events(engine, after=seen[-1] if seen else 0))
            if last_look:
                return

    follower = threading.Thread(target=follow)
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    follower.join()
    assert seen == [event.seq for event in all_events(engine)]
    assert len(seen) == writers * each


def test_two_transactions_that_wait_for_each_other_s_rows_do_not_deadlock_on_the_log(engine):
    """One notes an event before it updates the row the other holds: with a lock at `record` this would deadlock."""
    with unit_of_work(engine) as session:
        search_id = add_search(session)
    holds, noted = threading.Event(), threading.Event()
    touch = text("UPDATE search SET version = version + 1 WHERE id = :id")

    def holder() -> None:
        with unit_of_work(engine) as session:
            session.execute(touch, {"id": search_id})
            holds.set()
            assert noted.wait(20)
            events.record(session, "holder", {})

    thread = threading.Thread(target=holder)
    thread.start()
    assert holds.wait(20)
    with unit_of_work(engine) as session:
        events.record(session, "waiter", {})
        noted.set()
        session.execute(touch, {"id": search_id})
    thread.join()
    assert [event.type for event in all_events(engine)] == ["holder", "waiter"]
