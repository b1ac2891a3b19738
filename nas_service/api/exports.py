"""Exports: ask for the files of a trial's network, and download them with Range and checksums."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse

from nas_service.api.asset_views import ExportOut
from nas_service.api.deps import IdempotencyKey, PagingDep, PrincipalDep, Service, ServiceDep, once, page_of_search
from nas_service.api.schemas import ExportId, ExportIn, SearchId
from nas_service.api.views import Page
from nas_service.control.exports import request_export
from nas_service.errors import Conflict, NotFound
from nas_service.storage import audit, exports, trials
from nas_service.storage.session import Session

router = APIRouter(prefix="/v1", tags=["exports"])
FileName = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


@router.post("/exports", status_code=202, response_model=ExportOut)
def create(
    request: Request, body: ExportIn, service: ServiceDep, principal: PrincipalDep, key: IdempotencyKey = None
) -> JSONResponse:
    """Make the files of a succeeded trial's network; asking again gives the same export."""

    def work(session: Session) -> tuple[ExportOut, str]:
        trial = trials.get(session, body.trial_id)
        export = request_export(session, trial.search_id, trial.id)
        audit.record(session, principal.id, "export.create", export.id)
        return ExportOut.model_validate(export), f"/v1/exports/{export.id}"

    return once(request, service, principal, key, body, 202, work)


@router.get("/exports/{export_id}", response_model=ExportOut)
def get(export_id: ExportId, service: ServiceDep) -> ExportOut:
    """An export and its files."""
    with service.reading() as session:
        return ExportOut.model_validate(exports.get(session, export_id))


@router.get("/searches/{search_id}/exports", response_model=Page[ExportOut])
def list_of_search(search_id: SearchId, service: ServiceDep, paging: PagingDep) -> Page[ExportOut]:
    """Exports of a search, oldest first."""
    return page_of_search(service, paging, ExportOut, exports.of_search, search_id)


@router.get(
    "/exports/{export_id}/files/{name}",
    response_class=FileResponse,
    responses={
        code: {
            "description": text,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
        for code, text in ((200, "The file."), (206, "A part of the file."))
    },
)
def download(export_id: ExportId, name: FileName, service: ServiceDep) -> FileResponse:
    """One file; ETag is its SHA-256, Range continues a broken download."""
    path, sha256 = _file(service, export_id, name)
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=name,
        headers={"ETag": f'"{sha256}"', "Repr-Digest": f"sha-256=:{_base64(sha256)}:"},
    )


def _file(service: Service, export_id: str, name: str) -> tuple[Path, str]:
    """Path and SHA-256 of a listed file: only what the manifest of a ready export names can be opened."""
    with service.reading() as session:
        export = exports.get(session, export_id)
    if export.state != "ready" or export.path is None:
        raise Conflict(f"export {export_id} is {export.state}")
    listed = {str(file["name"]): str(file["sha256"]) for file in export.files or ()}
    root = service.settings.artifacts.resolve()
    path = root / export.path / name
    if name not in listed or path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(root):
        raise NotFound(f"export {export_id} has no file '{name}'")
    return path, listed[name]


def _base64(sha256_hex: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256_hex)).decode()
