"""Fixtures of every test: one Postgres server a process of pytest, one migrated database a module, nothing unasked.

And how tests are spread when several processes run them: each file goes to whichever is free, but a few folders go as
a whole to one.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

# One service is the browser's for all its tests; two Rays at once would be too much for a small machine.
UNDIVIDED = ("tests/browser", "tests/integration/ray")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Whole files, so that their fixtures are made once, and the folders that are undivided."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            folder = file.rpartition("/")[0]
            return folder if folder in UNDIVIDED else file

    return ByFile(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than cores: many tests wait for processes, leases and pages rather than compute."""
    return min(4, (os.cpu_count() or 1) + 1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported stays: later collections of garbage (timing asks for many) need not visit it."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter) -> None:
    """The count of skipped tests is easily overlooked: those of the browser are named beside it."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if report.nodeid.startswith("tests/browser/")
    ]
    if skipped:
        reason = skipped[0].longrepr[-1]
        terminalreporter.write_line(f"*** {len(skipped)} BROWSER TESTS SKIPPED: {reason} ***", red=True, bold=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a running server on which databases can be created."""
    from tests.support import postgres

    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """Name of a database with all migrations."""
    from tests.support import postgres

    with postgres.migrated_template(postgres_server) as name:
        yield name


@pytest.fixture(scope="module")
def database_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database that only this module uses."""
    from tests.support import postgres

    with postgres.database(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def engine(database_url: str):
    """An engine on the module's database."""
    from nas_service.storage.session import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_tables(engine) -> None:
    """The module's database without a row, for tests that count."""
    from sqlalchemy import text

    from nas_service.storage.tables import Base

    names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
