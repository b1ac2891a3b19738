"""A real Postgres for the tests: `NAS_TEST_DATABASE_URL`, or an embedded server that lives as long as the session."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from nas_service.settings import with_driver
from nas_service.storage import migrate
from nas_service.storage.embedded import EmbeddedPostgres
from nas_service.storage.session import make_engine

# No test cuts the power: what a commit handed to the operating system survives the kill of the server also without
# fsync. (It would not with synchronous_commit off, so that stays on.)
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


DROP_WITHIN_S = 30.0


@contextmanager
def server() -> Iterator[str]:
    """The URL of a role that may create databases."""
    given = os.environ.get("NAS_TEST_DATABASE_URL")
    if given:
        yield with_driver(given)
        return
    home = Path(tempfile.mkdtemp(prefix="nas-test-"))
    home.chmod(0o711)
    postgres = EmbeddedPostgres(home, FAST)
    try:
        yield postgres.start()
    finally:
        postgres.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def database(server_url: str, template: str | None = None) -> Iterator[str]:
    """The URL of a fresh database, empty or copied from database ``template``; dropped afterwards."""
    name = f"nas_test_{secrets.token_hex(6)}"
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            copied = "" if template is None else f' TEMPLATE "{template}"'
            connection.execute(text(f'CREATE DATABASE "{name}"{copied}'))
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(admin, name)
        admin.dispose()


def _drop(admin: Engine, name: str) -> None:
    """Drop a database; an autovacuum worker in it, which our role may not end, is waited for."""
    deadline = time.monotonic() + DROP_WITHIN_S
    while True:
        try:
            with admin.connect() as connection:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            return
        except ProgrammingError as error:
            if not isinstance(error.orig, InsufficientPrivilege) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def migrated_template(server_url: str) -> Iterator[str]:
    """The name of a database on which every migration has run, to copy others from."""
    with database(server_url) as url:
        engine = make_engine(url)
        migrate.upgrade(engine)
        engine.dispose()  # a template must have no connections
        yield make_url(url).database or ""
