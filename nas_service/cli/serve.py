"""`nas serve`: the API and the dashboard in one uvicorn process that stops within seconds, open streams or not."""

from __future__ import annotations

import uvicorn

from nas_service import logs
from nas_service.app import create_app
from nas_service.cli.failures import SchemaMismatch
from nas_service.errors import InvalidInput
from nas_service.settings import Settings
from nas_service.storage import migrate
from nas_service.storage.session import make_engine

GRACEFUL_STOP_S = 3
MAX_CONNECTIONS = 512


def serve() -> None:
    """Serve until SIGTERM. Raises ``SchemaMismatch`` when the database is not at this release's schema."""
    settings = Settings.from_environment()
    if settings.database_url is None:
        raise InvalidInput.at("NAS_DATABASE_URL", "is not set", suggestion="`nas up` brings its own database")
    engine = make_engine(settings.database_url)
    found, needed = migrate.current(engine), migrate.head()
    engine.dispose()
    if found != needed:
        raise SchemaMismatch(f"the database is at {found}, this release needs {needed}: run `nas migrate`")
    logs.configure()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        log_config=None,  # its lines go through ours
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
    )
