"""What every route needs: the service's engine and settings, the caller, pages, and creating exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StringConstraints

from nas_service.api.auth import Principal
from nas_service.api.monitor import Monitor
from nas_service.api.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Cursors
from nas_service.api.problems import BadRequest, TooManyRequests
from nas_service.api.throttle import FailureThrottle
from nas_service.api.views import Page
from nas_service.ids import content_key
from nas_service.settings import Settings
from nas_service.storage import idempotency, installation, searches
from nas_service.storage.session import Engine, Session, run_in_transaction, unit_of_work

MAX_STREAMS = 10
View = TypeVar("View", bound=BaseModel)


class Service:
    """The parts that the routes share. ``cursors`` needs the database and is made on first use."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.monitor = Monitor()
        self.sign_ins = FailureThrottle()
        self._cursors: Cursors | None = None
        self._streams: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def cursors(self) -> Cursors:
        if self._cursors is None:
            with unit_of_work(self.engine) as session:
                self._cursors = Cursors(installation.ensure(session).cursor_secret)
        return self._cursors

    @property
    def num_streams(self) -> int:
        with self._lock:
            return sum(self._streams.values())

    def open_stream(self, principal: Principal) -> None:
        """Count a stream of this caller; TooManyRequests beyond the limit. Pair with ``close_stream``."""
        with self._lock:
            if self._streams.get(principal.id, 0) >= MAX_STREAMS:
                raise TooManyRequests(f"at most {MAX_STREAMS} event streams at once for one key")
            self._streams[principal.id] = self._streams.get(principal.id, 0) + 1

    def close_stream(self, principal: Principal) -> None:
        with self._lock:
            self._streams[principal.id] -= 1
            if not self._streams[principal.id]:
                del self._streams[principal.id]

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction, ended before the answer is sent."""
        with unit_of_work(self.engine) as session:
            yield session


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


ServiceDep = Annotated[Service, Depends(_service)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request under the same key gives the first answer again (24 hours).",
    ),
]


@dataclass(frozen=True)
class Paging:
    """Which page of a list is wanted."""

    page_size: int
    page_token: str | None


async def _paging(
    page_size: Annotated[
        int, Query(ge=1, le=2**31 - 1, description=f"More than {MAX_PAGE_SIZE} is read as {MAX_PAGE_SIZE}.")
    ] = DEFAULT_PAGE_SIZE,
    page_token: Annotated[
        str | None, Query(max_length=4000, pattern=r"^[A-Za-z0-9_-]*$", description="From the page before.")
    ] = None,
) -> Paging:
    return Paging(min(page_size, MAX_PAGE_SIZE), page_token)


PagingDep = Annotated[Paging, Depends(_paging)]


def page_by_id(
    service: Service,
    paging: Paging,
    view: type[View],
    read: Callable[..., Sequence[Any]],
    filters: dict[str, Any] | None = None,
) -> Page[View]:
    """A page of ``read(session, limit=, after=)``, whose position is the id of the last item."""
    chosen = {"list": view.__name__, **(filters or {})}
    after = service.cursors.read(paging.page_token, chosen)
    with service.reading() as session:
        found = read(session, limit=paging.page_size + 1, after=after)
    shown = found[: paging.page_size]
    token = service.cursors.write(shown[-1].id, chosen) if len(found) > len(shown) else None
    return Page[view](items=[view.model_validate(item) for item in shown], next_page_token=token)  # type: ignore[valid-type]


def page_of_search(
    service: Service, paging: Paging, view: type[View], read: Callable[..., Sequence[Any]], search_id: str
) -> Page[View]:
    """A page of ``read(session, search_id, limit=, after=)``. Raises NotFound for a search that is not there."""

    def found(session: Session, **place: Any) -> Sequence[Any]:
        searches.get(session, search_id)
        return read(session, search_id, **place)

    return page_by_id(service, paging, view, found, {"search_id": search_id})


def once(
    request: Request,
    service: Service,
    principal: Principal,
    key: str | None,
    body: BaseModel,
    status: int,
    create: Callable[[Session], tuple[BaseModel, str]],
) -> JSONResponse:
    """Run ``create(session) -> (view, location)``; under an idempotency key at most once, its answer kept with it."""
    fingerprint = content_key(request.method, request.url.path, body.model_dump(mode="json"))

    def work(session: Session) -> tuple[idempotency.Answer, bool]:
        if key is not None:
            before = idempotency.begin(session, principal.id, key, fingerprint)
            if before is not None:
                return before, True
        view, location = create(session)
        answer = idempotency.Answer(status, view.model_dump(mode="json"), location)
        if key is not None:
            idempotency.store(session, principal.id, key, fingerprint, answer)
        return answer, False

    answer, replayed = run_in_transaction(service.engine, work)
    headers = {"Location": answer.location} if answer.location else {}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(answer.body, answer.status, headers)


async def known_parameters_only(request: Request) -> None:
    """Refuses query parameters that the operation does not have, and repeated ones."""
    given = [name for name, _ in request.query_params.multi_items()]
    if not given:
        return
    path = getattr(request.scope.get("route"), "path_format", "")
    if path.startswith("/ui"):
        return  # a dashboard address carries the view's own state
    operation = request.app.openapi()["paths"].get(path, {}).get(request.method.lower(), {})
    allowed = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"}
    for name in given:
        if name not in allowed:
            hint = ", ".join(sorted(allowed)) or "none"
            raise BadRequest(f"unknown query parameter '{name[:80]}'; allowed: {hint}")
    if len(given) != len(set(given)):
        raise BadRequest("a query parameter is given twice")


# No control characters: U+0000 can stand in no URL, and none of them in a name.
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
