"""Events of a search: JSON by position, or a live stream (server-sent events) that resumes after ``Last-Event-ID``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from nas_service.api.auth import Principal
from nas_service.api.deps import PrincipalDep, Service, ServiceDep
from nas_service.api.schemas import SearchId
from nas_service.api.search_views import EventOut, EventsOut
from nas_service.domain.states import SEARCH_TERMINAL
from nas_service.errors import Unavailable
from nas_service.storage import events, searches

router = APIRouter(prefix="/v1", tags=["events"])

POLL_S = 0.5
PING_S = 15.0
BATCH = 500
EVENT_STREAM = "text/event-stream"
log = logging.getLogger("nas.api")


@router.get(
    "/searches/{search_id}/events",
    response_model=EventsOut,
    responses={
        200: {
            "description": "Events; as a stream for `Accept: text/event-stream`.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        204: {"description": "Stream only: the search has ended and has no further events."},
    },
)
def list_of_search(
    search_id: SearchId,
    request: Request,
    service: ServiceDep,
    principal: PrincipalDep,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Events with a greater `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="JSON only.")] = 200,
    last_event_id: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, le=2**63 - 1, description="Stream only: goes on after this `seq`.")
    ] = 0,
) -> Response:
    """Events of a search in the order of their commits."""
    streaming = EVENT_STREAM in request.headers.get("accept", "")
    position = last_event_id if streaming and last_event_id else after
    found, ended = _read(service, search_id, position, limit)
    if not streaming:
        body = EventsOut(items=found, last_seq=found[-1].seq if found else position)
        return JSONResponse(body.model_dump(mode="json"))
    if ended and not found:
        # An EventSource stops reconnecting at this status.
        return Response(status_code=204)
    service.open_stream(principal)
    return StreamingResponse(
        _stream(service, principal, search_id, position),
        media_type=EVENT_STREAM,
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _stream(service: Service, principal: Principal, search_id: str, position: int) -> AsyncIterator[str]:
    """Batches as they are committed; ends with the search. A slow reader slows only its own reads of the table."""
    try:
        yield "retry: 2000\n\n"
        quiet_since = time.monotonic()
        while True:
            try:
                found, ended = await run_sync(_read, service, search_id, position, BATCH)
            except Unavailable:
                return  # the client comes back with its last id
            for event in found:
                yield f"id: {event.seq}\ndata: {event.model_dump_json()}\n\n"
            if found:
                position, quiet_since = found[-1].seq, time.monotonic()
            elif ended:
                return
            elif time.monotonic() - quiet_since > PING_S:
                quiet_since = time.monotonic()
                yield ": ping\n\n"
            if len(found) < BATCH:
                await asyncio.sleep(POLL_S)
    finally:
        service.close_stream(principal)


def _read(service: Service, search_id: str, after: int, limit: int) -> tuple[list[EventOut], bool]:
    """Events, and whether the search had ended before they were read (then no later one is missed)."""
    with service.reading() as session:
        ended = searches.get(session, search_id).state in SEARCH_TERMINAL
        found = events.read(session, search_id, after, limit)
    return [EventOut.model_validate(event) for event in found], ended
