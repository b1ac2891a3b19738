"""The migrations build exactly the declared tables, and come down again."""

from __future__ import annotations

from sqlalchemy import inspect

from nas_service.storage import migrate
from nas_service.storage.session import make_engine
from nas_service.storage.tables import Base
from tests.support import postgres


def tables(engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_up_down_up_and_nothing_left_to_generate(postgres_server):
    with postgres.database(postgres_server) as url:
        engine = make_engine(url)
        assert migrate.current(engine) is None
        assert migrate.differences(engine)  # an empty database does differ
        migrate.upgrade(engine)
        assert migrate.current(engine) == migrate.head()
        assert migrate.differences(engine) == []
        migrate.upgrade(engine)
        migrate.downgrade(engine, "base")
        assert tables(engine) == set()
        migrate.upgrade(engine)
        assert tables(engine) == set(Base.metadata.tables)
        engine.dispose()
