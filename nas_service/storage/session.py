"""The engine and the unit of work: one transaction per request or recorded result, committed before the answer."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session as OrmSession

from nas_service.errors import Unavailable

__all__ = ["Engine", "Session", "make_engine", "run_in_transaction", "unit_of_work"]

T = TypeVar("T")

DEADLOCK, SERIALIZATION = "40P01", "40001"
# Server is starting, stopping or full; a class 08 state or none at all is a broken connection.
AWAY = frozenset({"57P01", "57P02", "57P03", "53300"})
# A statement, a wait for a lock or an idle transaction took longer than CONNECT_ARGS allow: the machine is overloaded.
TIMED_OUT = frozenset({"57014", "55P03", "25P03"})

# A lost network shows within about 30 s instead of hours, and no statement or idle transaction outlives its use.
# Compiling a query takes Postgres longer than any query here runs.
CONNECT_ARGS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "nas",
    "options": "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s -c timezone=UTC -c jit=off",
}


class Session(OrmSession):
    """A database session of this service; `storage.events` hooks into its commit."""


def make_engine(url: str, *, pool_size: int = 5) -> Engine:
    """The one engine of a process, at most ``pool_size`` + 5 connections. JSON columns refuse NaN and infinity."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args=CONNECT_ARGS,
        json_serializer=partial(json.dumps, allow_nan=False, ensure_ascii=False),
    )


@contextmanager
def unit_of_work(engine: Engine) -> Iterator[Session]:
    """A session whose transaction commits when the block ends and rolls back when it raises.

    `Unavailable` is raised when the database cannot be reached or is too slow, or the pool is exhausted.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except PoolTimeout as error:
        raise Unavailable("all database connections are in use") from error
    except DBAPIError as error:
        if sqlstate(error) in TIMED_OUT:
            raise Unavailable("the database took too long") from error
        if _is_away(error):
            raise Unavailable("the database cannot be reached") from error
        raise


def run_in_transaction(engine: Engine, work: Callable[[Session], T], *, attempts: int = 5) -> T:
    """Run ``work(session)`` in a transaction, again after a deadlock or serialization failure; its answer.

    ``work`` must have no effects outside the transaction. Raises `Unavailable` when the last attempt met one, too.
    """
    for attempt in range(1, attempts + 1):
        try:
            with unit_of_work(engine) as session:
                return work(session)
        except DBAPIError as error:
            if sqlstate(error) not in (DEADLOCK, SERIALIZATION):
                raise
            if attempt == attempts:
                raise Unavailable("others changed the same rows each time") from error
            time.sleep(random.uniform(0.01, 0.2))  # jitter keeps two losers from meeting again
    raise ValueError("attempts must be at least 1")


def sqlstate(error: DBAPIError) -> str | None:
    """The five-character code of Postgres, or None where the connection broke before an answer."""
    return getattr(error.orig, "sqlstate", None)


def _is_away(error: DBAPIError) -> bool:
    state = sqlstate(error)
    if state is None:  # also what the driver itself refuses to send
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return error.connection_invalidated or state in AWAY or state.startswith("08")
