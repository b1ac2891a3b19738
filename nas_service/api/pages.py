"""The dashboard's built files below `/ui/`; every other address there is a view of the single page."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

import nas_service.dashboard

FOLDER = Path(nas_service.dashboard.__path__[0]) / "static"
NOT_BUILT = (
    "The dashboard is not built: run `npm ci && npm run build` in nas_service/dashboard/web (Node 20 or newer).\n"
    "The REST API below /v1 works without it.\n"
)


def install(app: FastAPI, folder: Path = FOLDER) -> None:
    """Add the pages to the application."""
    router = APIRouter(include_in_schema=False)

    index = folder / "index.html"

    @router.get("/")
    @router.get("/ui")
    async def root() -> Response:
        return RedirectResponse("/ui/") if index.is_file() else PlainTextResponse(NOT_BUILT)

    @router.get("/ui/{view:path}")
    async def page(view: str) -> Response:
        if not index.is_file():
            return PlainTextResponse(NOT_BUILT, 404)
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    if (folder / "assets").is_dir():
        app.mount("/ui/assets", StaticFiles(directory=folder / "assets"), name="assets")
    app.include_router(router)
