"""Search spaces: store, list, check, profile, sample, cost."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from nas_service.api.asset_views import (
    ArchitecturesOut,
    CostedArchitecture,
    SpaceCheckOut,
    SpaceDetailOut,
    SpaceOut,
    SpaceProfileOut,
)
from nas_service.api.deps import IdempotencyKey, PagingDep, PrincipalDep, Service, ServiceDep, once, page_by_id
from nas_service.api.problems import from_space_error
from nas_service.api.requested_space import compile_document
from nas_service.api.schemas import ArchitecturesIn, SpaceCreateIn, SpaceId
from nas_service.api.views import Page
from nas_service.control.spaces import compiled_space, store_space
from nas_service.storage import spaces
from nas_service.storage.session import Session
from search_spaces.errors import SpaceError
from search_spaces.space import SearchSpace
from search_spaces.views.advice import advice_on
from search_spaces.views.profile import profile_of

router = APIRouter(prefix="/v1", tags=["search_spaces"])


@router.post("/search-spaces", status_code=201, response_model=SpaceOut)
def create(
    request: Request, body: SpaceCreateIn, service: ServiceDep, principal: PrincipalDep, key: IdempotencyKey = None
) -> JSONResponse:
    """Store a search space; equal documents have one id."""
    space = compile_document(body.document, "/document")

    def work(session: Session) -> tuple[SpaceOut, str]:
        space_id = store_space(session, space, principal.id)
        return SpaceOut.model_validate(spaces.get(session, space_id)), f"/v1/search-spaces/{space_id}"

    return once(request, service, principal, key, body, 201, work)


@router.post("/search-space-checks", response_model=SpaceCheckOut)
def check(body: SpaceCreateIn) -> SpaceCheckOut:
    """Size, costs and structure of a document, or what is wrong with it; nothing is stored."""
    space = compile_document(body.document, "/document")
    notes = [
        {"pointer": note.pointer, "rule": note.rule, "message": note.message, "suggestion": note.suggestion}
        for note in advice_on(space)
    ]
    return SpaceCheckOut.model_validate({**space.describe(), **profile_of(space), "notes": notes})


@router.get("/search-spaces", response_model=Page[SpaceOut])
def list_all(service: ServiceDep, paging: PagingDep) -> Page[SpaceOut]:
    """Search spaces, newest first."""
    return page_by_id(service, paging, SpaceOut, spaces.page)


@router.get("/search-spaces/{space_id}", response_model=SpaceDetailOut)
def get(space_id: SpaceId, service: ServiceDep) -> SpaceDetailOut:
    """A search space with its document, choices and structure."""
    with service.reading() as session:
        record = spaces.get(session, space_id)
        space = compiled_space(session, space_id)
    shown = space.describe()
    more = {"task": record.task, "genes": shown["genes"], "nodes": shown["nodes"]}
    return SpaceDetailOut.model_validate({**vars(record), **more})


@router.get("/search-spaces/{space_id}/profile", response_model=SpaceProfileOut)
def profile(space_id: SpaceId, service: ServiceDep) -> SpaceProfileOut:
    """Size and costs of a stored space."""
    space = stored_space(service, space_id)
    return SpaceProfileOut.model_validate(profile_of(space))


@router.get("/search-spaces/{space_id}/samples", response_model=ArchitecturesOut)
def sample(
    space_id: SpaceId,
    service: ServiceDep,
    count: Annotated[int, Query(ge=1, le=1000)] = 10,
    seed: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
) -> ArchitecturesOut:
    """Architectures drawn uniformly; equal seeds draw equal ones."""
    space = stored_space(service, space_id)
    return _costed(space, space.sample(count, np.random.default_rng(seed)))


@router.post("/search-spaces/{space_id}/costs", response_model=ArchitecturesOut)
def costs(space_id: SpaceId, body: ArchitecturesIn, service: ServiceDep) -> ArchitecturesOut:
    """Exact costs and hashes of architectures given by their choices."""
    space = stored_space(service, space_id)
    rows = []
    for index, choices in enumerate(body.architectures):
        try:
            rows.append(space.genes_of(choices))
        except SpaceError as error:
            raise from_space_error(error, f"/architectures/{index}") from None
    return _costed(space, np.stack(rows))


def stored_space(service: Service, space_id: str) -> SearchSpace:
    """A stored space, compiled. Raises NotFound: a space compiled for a plan is not stored."""
    with service.reading() as session:
        spaces.get(session, space_id)
        return compiled_space(session, space_id)


def _costed(space: SearchSpace, genes: np.ndarray) -> ArchitecturesOut:
    found = space.costs(genes)
    items = []
    for index, row in enumerate(genes):
        architecture = space.architecture(row)
        items.append(
            CostedArchitecture(
                hash=architecture.hash,
                choices=dict(architecture.choices),
                costs={name: int(values[index]) for name, values in found.items()},
            )
        )
    return ArchitecturesOut(items=items)
