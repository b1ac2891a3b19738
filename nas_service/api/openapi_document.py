"""The OpenAPI document of the routes: stable operation ids, problem documents, conditions and links of operations."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from nas_service.api.links import LINKS
from nas_service.api.views import ProblemOut

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
_STATUSES = {
    400: "The request cannot be read.",
    401: "No valid key or session.",
    403: "The key lacks the scope.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Its state does not allow this.",
    413: "The body is too large.",
    414: "The URL is too long.",
    415: "The body is not JSON.",
    421: "Unknown host.",
    422: "A value breaks a rule; `errors` says where.",
    429: "Too many at once.",
    431: "The headers are too large.",
    503: "Try again later.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": _PROBLEM} for status, text in _STATUSES.items()
}


def operation_id(route: APIRoute) -> str:
    """``tag_function``, e.g. ``searches_create``."""
    return f"{route.tags[0] if route.tags else 'page'}_{route.name}"


def install(app: FastAPI) -> None:
    """Make ``app.openapi()`` give the complete document, built once."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["ProblemOut"] = problem
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key `nas_...`."},
        "session": {"type": "apiKey", "in": "cookie", "name": "nas_session"},
    }
    for operations in document["paths"].values():
        for method, operation in operations.items():
            _add_conditions(method, operation)
            _add_links(operation)
    document["security"] = [{"key": []}, {"session": []}]
    for path, method in (("/livez", "get"), ("/readyz", "get"), ("/v1/session", "post")):
        document["paths"][path][method]["security"] = []
    return document


def _add_conditions(method: str, operation: dict[str, Any]) -> None:
    """What `conditional.py` does to every operation of a kind."""
    parameters = operation.get("parameters", [])
    if any(parameter["name"] == "If-Match" for parameter in parameters):
        operation["responses"]["412"] = {"description": "It has changed since it was read.", "content": _PROBLEM}
    found = operation["responses"].get("200", {})
    if method != "get" or "application/json" not in found.get("content", {}):
        return
    found["headers"] = {"ETag": {"description": "Names this text.", "schema": {"type": "string"}}}
    operation["responses"]["304"] = {"description": "Unchanged since the ETag given in If-None-Match."}
    described = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
    operation["parameters"] = [*parameters, {**described, "description": "ETag of the answer the client has."}]


def _add_links(operation: dict[str, Any]) -> None:
    for status, name, target, parameters in LINKS.get(operation["operationId"], ()):
        links = operation["responses"][status].setdefault("links", {})
        links[name] = {"operationId": target, **parameters}
