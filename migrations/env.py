"""Alembic's entry: runs the versions on the connection that `nas_service.storage.migrate` hands over."""

from alembic import context

from nas_service.storage.tables import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run migrations with `nas migrate`")

context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
