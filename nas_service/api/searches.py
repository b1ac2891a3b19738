"""Searches: create, plan, list, read, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from nas_service.api.conditional import IfMatch, require_match, versioned
from nas_service.api.deps import (
    IdempotencyKey,
    PagingDep,
    PrincipalDep,
    ServiceDep,
    ShortText,
    once,
    page_by_id,
)
from nas_service.api.requested_space import in_request, stored_space_id
from nas_service.api.schemas import SearchId, SearchIn
from nas_service.api.search_views import EstimatorOut, PlanOut, ProgressOut, SearchOut
from nas_service.api.table_schemas import AnySearchIn, TableSearchIn
from nas_service.api.views import Page, WarningOut
from nas_service.control import searches as actions
from nas_service.control.check_table import goals_of
from nas_service.control.create import create_search
from nas_service.control.plan import plan_search
from nas_service.control.queries import Overview, Progress, SearchDetail, overviews, search_detail
from nas_service.domain.records import DeviceWait, SearchRecord
from nas_service.domain.search import SearchSpec
from nas_service.errors import MAX_NAMES, InvalidInput, NotFound, allowed
from nas_service.storage import audit, datasets, searches
from nas_service.storage.session import Session, run_in_transaction

router = APIRouter(prefix="/v1", tags=["searches"])

PHASE_TEXT = {
    "supernet": "training the supernet",
    "latency": "fitting the latency estimator",
    "search": "searching",
    "finalists": "scoring the finalists",
    "done": "done",
}
State = Literal["queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]


class Action:
    """One change of state of one search, asked for by one request."""

    def __init__(
        self,
        search_id: SearchId,
        request: Request,
        response: Response,
        service: ServiceDep,
        principal: PrincipalDep,
        if_match: IfMatch = None,
    ) -> None:
        self.search_id = search_id
        self.remote = _remote(request)
        self.headers = response.headers
        self.service = service
        self.principal = principal
        self.if_match = if_match

    def __call__(self, action: Callable[[Session, str], SearchRecord], name: str) -> SearchOut:
        """The search after the action. Raises NotFound, Conflict, PreconditionFailed."""

        def work(session: Session) -> SearchDetail:
            before = searches.lock(session, self.search_id)
            if before is not None:
                require_match(self.if_match, before.version)
            action(session, self.search_id)
            audit.record(session, self.principal.id, name, self.search_id, self.remote)
            return search_detail(session, self.search_id)

        detail = run_in_transaction(self.service.engine, work)
        self.headers["ETag"] = f'"{detail.search.version}"'
        return of_detail(detail)


ActionDep = Annotated[Action, Depends()]


@router.post("/searches", status_code=201, response_model=SearchOut)
def create(
    request: Request, body: AnySearchIn, service: ServiceDep, principal: PrincipalDep, key: IdempotencyKey = None
) -> JSONResponse:
    """Start a search."""

    def work(session: Session) -> tuple[SearchOut, str]:
        spec = _spec(session, body, principal.id)
        try:
            search_id = create_search(session, spec, service.settings.artifacts, principal.id)
        except InvalidInput as error:
            raise in_request(error) from None
        audit.record(session, principal.id, "search.create", search_id, _remote(request))
        return of_detail(search_detail(session, search_id)), f"/v1/searches/{search_id}"

    return once(request, service, principal, key, body, 201, work)


@router.post("/search-plans", response_model=PlanOut)
def plan(body: AnySearchIn, service: ServiceDep, principal: PrincipalDep) -> PlanOut:
    """What a search would do, without starting anything."""
    with service.reading() as session:
        scratch = session.begin_nested()  # an inline document is looked up like a stored one, and goes again
        try:
            return PlanOut.model_validate(
                plan_search(session, _spec(session, body, principal.id), service.settings.artifacts)
            )
        except InvalidInput as error:
            raise in_request(error) from None
        finally:
            scratch.rollback()


@router.get("/searches", response_model=Page[SearchOut])
def list_all(
    service: ServiceDep,
    paging: PagingDep,
    state: Annotated[State | None, Query()] = None,
    name: Annotated[ShortText | None, Query(description="Text that the name contains.")] = None,
) -> Page[SearchOut]:
    """Searches, newest first."""

    def read(session: Session, *, limit: int, after: str | None) -> list[SearchOut]:
        found = searches.page(session, limit=limit, after=after, state=state, name=name)
        return [_of_overview(one) for one in overviews(session, found)]

    return page_by_id(service, paging, SearchOut, read, {"state": state, "name": name})


@router.get("/searches/{search_id}", response_model=SearchOut)
def get(search_id: SearchId, request: Request, service: ServiceDep) -> SearchOut:
    """A search with its progress."""
    with service.reading() as session:
        detail = search_detail(session, search_id)
    versioned(request, detail.search.version)
    return of_detail(detail)


@router.post("/searches/{search_id}/pause", response_model=SearchOut)
def pause(act: ActionDep) -> SearchOut:
    """Start nothing new; what is being computed is finished and recorded."""
    return act(actions.pause, "search.pause")


@router.post("/searches/{search_id}/resume", response_model=SearchOut)
def resume(act: ActionDep) -> SearchOut:
    """Go on where it was paused."""
    return act(actions.resume, "search.resume")


@router.post("/searches/{search_id}/cancel", response_model=SearchOut)
def cancel(act: ActionDep) -> SearchOut:
    """End it now; what was recorded stays."""
    return act(actions.cancel, "search.cancel")


def of_detail(detail: SearchDetail) -> SearchOut:
    """The answer for one search."""
    view = SearchOut.model_validate(detail.search)
    view.progress = _progress(detail.progress)
    view.trial_counts = detail.trial_counts
    view.full_evaluations = round(detail.full_evaluations, 6)
    view.warnings = _warnings([] if detail.supernet is None else detail.supernet.warnings, detail.progress)
    view.latency_estimator = None if detail.estimator is None else EstimatorOut.model_validate(detail.estimator)
    return view


def _of_overview(overview: Overview) -> SearchOut:
    view = SearchOut.model_validate(overview.search)
    view.progress = None if overview.progress is None else _progress(overview.progress)
    view.warnings = _warnings(overview.warnings, overview.progress)
    return view


def _warnings(found: list[dict[str, str]], progress: Progress | None) -> list[WarningOut]:
    warnings = [WarningOut.model_validate(warning) for warning in found]
    if progress is not None and progress.waiting_for is not None:
        hint = "start its node again and the search goes on; after NAS_DEVICE_WAIT_S (6 hours unless set) it fails"
        warnings.append(WarningOut(code="device_away", message=_waiting(progress.waiting_for), suggestion=hint))
    return warnings


def _progress(progress: Progress) -> ProgressOut:
    view = ProgressOut.model_validate(progress)
    view.message = PHASE_TEXT.get(progress.phase, progress.phase)
    if progress.waiting_for is not None:
        view.message = _waiting(progress.waiting_for)
    return view


def _waiting(wait: DeviceWait) -> str:
    return f"waiting for device {wait.device}, away since {wait.away_since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _spec(session: Session, body: SearchIn | TableSearchIn, created_by: str) -> SearchSpec:
    if isinstance(body, TableSearchIn):
        given = "" if body.space is None else stored_space_id(session, body.space, created_by)
        return body.to_spec(given, goals_of(session, body.evaluator.table))
    space_id = stored_space_id(session, body.space, created_by)
    try:
        dataset_id = datasets.get(session, body.dataset).id
    except NotFound as error:
        names = [item.name for item in datasets.page(session, limit=MAX_NAMES + 1)]
        raise InvalidInput.at(
            "/dataset", error.detail, code="unknown", suggestion=allowed(body.dataset, names)
        ) from None
    return body.to_spec(space_id, dataset_id)


def _remote(request: Request) -> str | None:
    return request.client.host if request.client else None
