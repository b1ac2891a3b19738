"""The web application: routes inside, and around them the layers that judge every request first."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from nas_service.api import (
    charts,
    datasets,
    devices,
    events,
    exports,
    health,
    methods,
    openapi_document,
    pages,
    problems,
    searches,
    sessions,
    space_members,
    spaces,
    supernets,
    tables,
    trials,
)
from nas_service.api.auth import Authentication, Principal
from nas_service.api.compression import Compressed
from nas_service.api.conditional import Conditional
from nas_service.api.deps import Service, known_parameters_only
from nas_service.api.limits import BoundedRequest, Envelope, HeadAsGet, KnownHost
from nas_service.api.throttle import RateLimit
from nas_service.errors import InvalidInput
from nas_service.settings import Settings
from nas_service.storage import browser_sessions, keys
from nas_service.storage.keys import KeyHolder
from nas_service.storage.session import Session, make_engine

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POOL_SIZE = 10
ROUTERS = (
    searches,
    trials,
    charts,
    events,
    exports,
    spaces,
    space_members,
    supernets,
    tables,
    datasets,
    devices,
    methods,
    sessions,
    health,
)


def create_app(settings: Settings) -> ASGIApp:
    """The ASGI application of one process. Connects to the database with the first request.

    Raises InvalidInput without a database URL.
    """
    if settings.database_url is None:
        raise InvalidInput.at("NAS_DATABASE_URL", "is not set")
    service = Service(settings, make_engine(settings.database_url, pool_size=POOL_SIZE))
    api = build_api()
    api.state.service = service
    layers: ASGIApp = Conditional(BoundedRequest(api))
    layers = RateLimit(layers, settings.rate_per_s, settings.rate_burst)
    layers = Authentication(
        layers, _lookup(service, keys.verify_key), _lookup(service, browser_sessions.session_holder)
    )
    layers = KnownHost(layers, allowed_hosts(settings))
    return Envelope(HeadAsGet(Compressed(layers)), service.monitor.observe)


def build_api() -> FastAPI:
    """Routes, error handlers and the OpenAPI document, without the layers and without a database."""
    api = FastAPI(
        title="NAS service",
        version=version("nas-service"),
        description="Neural architecture search: supernet training, search, measured latency, Pareto fronts, exports.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi_document.operation_id,
        dependencies=[Depends(known_parameters_only)],
        responses=openapi_document.RESPONSES,
    )
    for module in ROUTERS:
        api.include_router(module.router)
    pages.install(api)
    problems.install(api)
    openapi_document.install(api)
    return api


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Names under which the service answers: loopback, the address it binds to, and those of the operator."""
    return frozenset({*LOOPBACK, settings.host.lower(), *settings.allowed_hosts})


def _lookup(service: Service, find: Callable[[Session, str], KeyHolder | None]) -> Callable[[str], Principal | None]:
    def look_up(secret: str) -> Principal | None:
        with service.reading() as session:
            holder = find(session, secret)
        return None if holder is None else Principal(holder.id, holder.name, holder.scopes)

    return look_up
