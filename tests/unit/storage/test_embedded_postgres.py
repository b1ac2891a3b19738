"""The embedded server: private by file mode and password, survives its starter and a crash."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from nas_service.errors import Unavailable
from nas_service.storage.embedded import MAX_SOCKET_PATH, EmbeddedPostgres
from nas_service.storage.session import make_engine, unit_of_work
from tests.support.postgres import FAST


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="nas-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def execute(url: str, statement: str) -> list[tuple]:
    engine = create_engine(url)
    with engine.begin() as connection:
        answer = connection.execute(text(statement))
        rows = [tuple(row) for row in answer] if answer.returns_rows else []
    engine.dispose()
    return rows


def test_starts_private_keeps_data_through_a_crash_and_stops(home):
    parent_mode = mode(home.parent)
    server = EmbeddedPostgres(home, FAST)
    try:
        url = server.start()
        execute(url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        assert EmbeddedPostgres(home, FAST).start() == url  # a second starter finds it running

        assert mode(home.parent) == parent_mode
        assert mode(server.root / "secrets.json") == 0o600
        for private in (server.data, server.root / "run", server.log.parent):
            assert mode(private) == 0o700
        assert execute(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]
        assert execute(url, "SHOW listen_addresses") == [("",)]
        parts = make_url(url)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dbname="nas", user="nas", password="guess", host=parts.query["host"])

        server.stop("immediate")
        assert not server.is_running()
        assert server.start() == url
        assert execute(url, "SELECT n FROM kept") == [(7,)]
    finally:
        server.stop()
    assert not server.is_running()


def test_a_killed_server_is_started_again_while_its_last_query_still_runs(home):
    server = EmbeddedPostgres(home, FAST)
    url = server.start()
    engine = make_engine(url)
    query = "SELECT count(*) FROM generate_series(1, 3000000)"  # a second or so, without a look at the world

    def ask() -> int:
        with unit_of_work(engine) as session:
            return session.execute(text("SELECT 1")).scalar_one()

    def keep_busy() -> None:
        with suppress(Unavailable), unit_of_work(engine) as session:
            session.execute(text(query))

    try:
        assert ask() == 1
        busy = threading.Thread(target=keep_busy)
        busy.start()
        while execute(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%series(1, 3%'") < [(2,)]:
            pass  # the look itself is the first of the two
        os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        while server.is_running():
            pass
        assert server.start() == url
        busy.join()
        # At worst the call that finds the old connection dead fails; then the same engine goes on.
        with suppress(Unavailable):
            ask()
        assert ask() == 1
    finally:
        engine.dispose()
        server.stop("immediate")


def test_a_long_home_still_gets_a_private_socket(home):
    deep = home / ("d" * MAX_SOCKET_PATH)
    deep.mkdir(mode=0o711)
    server = EmbeddedPostgres(deep, FAST)
    try:
        url = server.start()
        directory = Path(str(make_url(url).query["host"]))
        assert not directory.is_relative_to(home)
        assert mode(directory) == 0o700
        assert execute(url, "SELECT 1") == [(1,)]
    finally:
        server.stop()
    assert not directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
def test_root_is_told_when_the_server_user_cannot_reach_the_home(home):
    home.chmod(0o700)
    with pytest.raises(Unavailable, match="NAS_HOME"):
        EmbeddedPostgres(home, FAST).start()
    assert mode(home) == 0o700
