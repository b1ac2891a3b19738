"""Bring a database to the schema of this release: Alembic driven from code, one migrator at a time."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, text

from nas_service.storage.session import unit_of_work
from nas_service.storage.tables import Base

LOCK = 7_236_001  # advisory lock of the migrator; any constant that nothing else here uses


def configuration() -> Config:
    """Alembic's configuration; the scripts are the package `migrations`."""
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package 'migrations' is not installed")
    config = Config()
    config.set_main_option("script_location", spec.submodule_search_locations[0].replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations up to ``revision``, all in one transaction."""
    _locked(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Run the migrations down to ``revision`` ("base" drops everything), all in one transaction."""
    _locked(engine, lambda config: command.downgrade(config, revision))


def current(engine: Engine) -> str | None:
    """The revision of the database, None before the first migration. Raises Unavailable when it is away."""
    with unit_of_work(engine) as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def head() -> str | None:
    """The revision this release needs."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def is_known(revision: str) -> bool:
    """Whether this release has the migrations up to ``revision``."""
    try:
        return ScriptDirectory.from_config(configuration()).get_revision(revision) is not None
    except CommandError:
        return False


def differences(engine: Engine) -> list[Any]:
    """What autogenerate would still change; empty when the migrations and the tables agree."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, Base.metadata)


def _locked(engine: Engine, run: Callable[[Config], None]) -> None:
    config = configuration()
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        run(config)
