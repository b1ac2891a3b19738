"""Tables of evaluated architectures: create one in pieces, seal it, list them. A sealed table never changes."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from nas_service.api.deps import IdempotencyKey, PagingDep, PrincipalDep, ServiceDep, once, page_by_id
from nas_service.api.requested_space import stored_space_id
from nas_service.api.schemas import Label
from nas_service.api.table_schemas import RowsIn, TableIn, UploadId
from nas_service.api.views import Json, Page, View
from nas_service.control import lookup_tables as control
from nas_service.control.spaces import compiled_space
from nas_service.errors import InvalidInput
from nas_service.storage import lookup_tables
from nas_service.storage.session import Session
from search_spaces.space import SearchSpace

router = APIRouter(prefix="/v1", tags=["tables"])


class TableOut(View):
    """A sealed table; its id is the hash of its content. ``manifest`` has choices, metrics with ranges, fidelities."""

    id: str
    name: str
    space_id: str
    manifest: Json
    created_at: datetime
    created_by: str | None


class TableUploadOut(View):
    """A table of which rows are expected: `POST /v1/table-uploads/{id}/rows`, then `.../seal`. Kept for a day."""

    id: str
    name: str
    columns: list[str]
    num_rows: int


@router.post("/tables", status_code=201, response_model=TableUploadOut)
def create(
    request: Request, body: TableIn, service: ServiceDep, principal: PrincipalDep, key: IdempotencyKey = None
) -> JSONResponse:
    """Begin a table; its rows are sent in pieces, then it is sealed."""

    def work(session: Session) -> tuple[TableUploadOut, str]:
        space = None
        if body.space is not None:
            space = compiled_space(session, stored_space_id(session, body.space, principal.id))
            _check_choices(body, space)
        definition = body.to_definition(None if space is None else space.id)
        upload_id = lookup_tables.begin_upload(
            session, name=body.name, definition=definition.to_json(), created_by=principal.id
        )
        view = TableUploadOut(id=upload_id, name=body.name, columns=list(definition.columns), num_rows=0)
        return view, f"/v1/table-uploads/{upload_id}"

    return once(request, service, principal, key, body, 201, work)


@router.post("/table-uploads/{upload_id}/rows", response_model=TableUploadOut)
def add_rows(
    upload_id: UploadId,
    request: Request,
    body: RowsIn,
    service: ServiceDep,
    principal: PrincipalDep,
    key: IdempotencyKey = None,
) -> JSONResponse:
    """The next rows, in the order of the columns; all of them or, where one is wrong, none."""

    def work(session: Session) -> tuple[TableUploadOut, str]:
        upload = control.add_rows(session, upload_id, body.first_row, body.rows)
        return TableUploadOut.model_validate(upload), f"/v1/table-uploads/{upload_id}"

    return once(request, service, principal, key, body, 200, work)


@router.post("/table-uploads/{upload_id}/seal", response_model=TableOut)
def seal(
    upload_id: UploadId, request: Request, service: ServiceDep, principal: PrincipalDep, key: IdempotencyKey = None
) -> JSONResponse:
    """Check the rows as a whole and make them a table; equal content has one id and one name, the first."""

    def work(session: Session) -> tuple[TableOut, str]:
        table = control.seal(session, upload_id, service.settings.artifacts, principal.id)
        return TableOut.model_validate(table), f"/v1/tables/{table.id}"

    return once(request, service, principal, key, NOTHING, 200, work)


@router.get("/tables", response_model=Page[TableOut])
def list_all(service: ServiceDep, paging: PagingDep) -> Page[TableOut]:
    """Tables, newest first."""
    return page_by_id(service, paging, TableOut, lookup_tables.page)


@router.get("/tables/{table}", response_model=TableOut)
def get(table: Label, service: ServiceDep) -> TableOut:
    """A table by id or name."""
    with service.reading() as session:
        return TableOut.model_validate(lookup_tables.get(session, table))


class _Nothing(View):
    """The body of a request that has none."""


NOTHING = _Nothing()


def _check_choices(body: TableIn, space: SearchSpace) -> None:
    """The columns are exactly the choices of the space."""
    names = [gene.name for gene in space.genes]
    for i, name in enumerate(body.choices):
        if name not in names:
            shown = ", ".join(names[:50])
            raise InvalidInput.at(
                f"/choices/{i}", f"the space has no choice '{name}'", code="unknown", suggestion=f"it has: {shown}"
            )
    missing = [name for name in names if name not in body.choices]
    if missing:
        raise InvalidInput.at("/choices", f"the space has further choices: {', '.join(missing[:50])}", code="missing")
