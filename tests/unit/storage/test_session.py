"""Units of work: all or nothing, conflicts are run again, a missing database is `Unavailable`."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nas_service.errors import Unavailable
from nas_service.storage.session import make_engine, run_in_transaction, unit_of_work
from tests.support.parts import wait_until


@pytest.fixture(scope="module", autouse=True)
def counters(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)"))
        connection.execute(text("INSERT INTO counter VALUES (1, 0), (2, 0)"))


def values(engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT n FROM counter ORDER BY id")).scalars())


def increment(session, counter: int) -> None:
    session.execute(text("UPDATE counter SET n = n + 1 WHERE id = :id"), {"id": counter})


def test_an_exception_leaves_nothing(engine):
    before = values(engine)

    def interrupted():
        with unit_of_work(engine) as session:
            increment(session, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert values(engine) == before
    with unit_of_work(engine) as session:
        increment(session, 1)
    assert values(engine) == [before[0] + 1, before[1]]


def test_the_loser_of_a_deadlock_runs_again(engine):
    before, runs = values(engine), []
    both_hold_one = threading.Barrier(2, timeout=20)

    def work(first: int, second: int):
        def body(session):
            runs.append(first)
            increment(session, first)
            if runs.count(first) == 1:
                both_hold_one.wait()
            increment(session, second)

        return body

    threads = [threading.Thread(target=run_in_transaction, args=(engine, work(*order))) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(engine) == [n + 2 for n in before]
    assert len(runs) == 3  # one of them was the victim, once


def test_who_loses_every_time_is_told_to_come_again(engine):
    runs = []

    def work(session):
        runs.append(1)
        session.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))

    with pytest.raises(Unavailable, match="same rows"):
        run_in_transaction(engine, work, attempts=2)
    assert len(runs) == 2


def test_other_errors_are_not_repeated(engine):
    runs = []

    def work(session):
        runs.append(1)
        session.execute(text("INSERT INTO counter VALUES (1, 0)"))

    with pytest.raises(DBAPIError):
        run_in_transaction(engine, work)
    assert len(runs) == 1


def test_a_missing_server_is_unavailable():
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable), unit_of_work(engine) as session:
        session.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    ("setting", "statement"),
    [("statement_timeout", "SELECT pg_sleep(30)"), ("lock_timeout", "SELECT pg_advisory_xact_lock(1)")],
)
def test_a_database_that_takes_too_long_is_unavailable(engine, setting, statement):
    def overdue():
        with unit_of_work(engine) as session:
            session.execute(text(f"SET LOCAL {setting} = '100ms'"))
            session.execute(text(statement))

    with engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(1)"))
        with pytest.raises(Unavailable, match="too long"):
            overdue()


def test_a_transaction_that_was_idle_for_too_long_is_unavailable(engine):
    def idle():
        with unit_of_work(engine) as session, engine.connect() as other:
            other.execution_options(isolation_level="AUTOCOMMIT")  # a transaction sees one state of the activity
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '100ms'"))
            pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid").bindparams(pid=pid)
            wait_until(lambda: not other.execute(alive).scalar_one())
            session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable, match="too long"):
        idle()
    assert len(values(engine)) == 2  # the connection that was ended is replaced


def test_what_the_driver_refuses_is_an_error_of_ours(engine):
    with pytest.raises(DBAPIError), unit_of_work(engine) as session:
        session.execute(text("SELECT :x"), {"x": object()})


def test_json_refuses_what_is_not_json(engine):
    from sqlalchemy import bindparam, select
    from sqlalchemy.dialects.postgresql import JSONB

    with pytest.raises(Exception, match="JSON compliant"), unit_of_work(engine) as session:
        session.execute(select(bindparam("x", {"loss": float("nan")}, type_=JSONB)))
