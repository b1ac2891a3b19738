"""Is the process alive, is it ready, and how is it doing: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import shutil

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from nas_service.api.deps import ServiceDep
from nas_service.api.views import HealthOut
from nas_service.errors import Unavailable
from nas_service.storage import events, gauges, migrate

router = APIRouter(tags=["health"])


@router.get("/livez", response_model=HealthOut)
async def alive() -> HealthOut:
    """The process answers; says nothing about the database."""
    return HealthOut(status="ok")


@router.get("/readyz", response_model=HealthOut)
def ready(service: ServiceDep) -> HealthOut:
    """The database answers and has the schema of this release."""
    with service.reading() as session:
        events.last_seq(session)
    found, needed = migrate.current(service.engine), migrate.head()
    if found != needed:
        raise Unavailable(f"the database is at schema {found}, this release needs {needed}")
    return HealthOut(status="ok", checks={"database": "ok", "schema": "ok"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(service: ServiceDep) -> PlainTextResponse:
    """Metrics in the Prometheus text format."""
    with service.reading() as session:
        now = gauges.read(session)
    artifacts = service.settings.artifacts
    free_bytes = shutil.disk_usage(artifacts).free if artifacts.is_dir() else None
    text = service.monitor.text(now, service.num_streams, free_bytes)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
