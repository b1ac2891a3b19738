"""Problem documents (RFC 9457): the one shape of every answer that is not a success."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nas_service.datasets.errors import DatasetError
from nas_service.errors import InvalidInput, NasError, Problem, allowed
from search_spaces.errors import SpaceError, pointer_of

MEDIA_TYPE = "application/problem+json"
MAX_PROBLEMS = 50
_MAX_TEXT = 500
# What pydantic says of these names the classes of this service.
_KINDS = {
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
}
_ID_PATTERN = re.compile(r"\^([a-z]+_)\[0-9a-f\]\{32\}\$")


class BadRequest(NasError):
    """The request cannot be read: malformed JSON, an unknown query parameter, a bad cursor."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class MisdirectedRequest(NasError):
    """The Host header names a host that this service does not answer for."""

    status = 421
    code = "misdirected_request"
    title = "Unknown host"


class UnsupportedMediaType(NasError):
    """The body is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class TooManyRequests(NasError):
    """More requests or streams at once than one key may have."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"


def document(error: NasError, instance: str = "", request_id: str = "") -> dict[str, Any]:
    """The problem document of an error."""
    body: dict[str, Any] = {
        "type": f"urn:nas:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": _printable(error.detail),
        "code": error.code,
    }
    if instance:
        body["instance"] = _printable(instance)
    if request_id:
        body["request_id"] = request_id
    if error.problems:
        body["errors"] = [
            {key: _printable(value) for key, value in problem.to_json().items()}
            for problem in error.problems[:MAX_PROBLEMS]
        ]
    return body


def response(
    error: NasError, instance: str = "", request_id: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that carries an error, with the headers its status asks for."""
    extra = dict(headers or {})
    if error.status == 401:
        extra.setdefault("WWW-Authenticate", "Bearer")
    if error.status in (429, 503):
        extra.setdefault("Retry-After", "2")
    content = json.dumps(document(error, instance, request_id), ensure_ascii=True).encode()
    return Response(content, error.status, extra, MEDIA_TYPE)


def from_space_error(error: SpaceError, prefix: str = "") -> InvalidInput:
    """What the language refused, with pointers below ``prefix`` into the request body."""
    problems = tuple(
        Problem(prefix + item.pointer, item.rule or "invalid_value", item.message, item.suggestion or None)
        for item in error.problems
    )
    return InvalidInput(f"the search space is refused: {problems[0].message}", problems=problems)


def from_validation(
    errors: Sequence[Mapping[str, Any]], prefix: Sequence[str | int] = (), model: Any = None
) -> InvalidInput:
    """Pydantic's findings as problems; ``prefix`` is the place of the validated value in the request body.

    ``model`` is what the value was validated as: it knows the names that an unknown field may have meant.
    """
    problems = []
    for item in errors[:MAX_PROBLEMS]:
        location = [part for part in item["loc"] if not (isinstance(part, str) and part.startswith("<"))]
        if location and location[0] == "body":
            location = location[1:]
        place = pointer_of(*prefix, *location)
        if item["loc"] and item["loc"][0] in ("query", "path", "header", "cookie"):
            # No JSON pointer leads there; the name says where.
            place = f"#{location[0]}{pointer_of(*location[1:])}"
        problems.append(Problem(place, item["type"], _message(item), _suggestion(item, model, location)))
    first = problems[0]
    return InvalidInput(f"{first.pointer or 'the request'}: {first.message}", problems=tuple(problems))


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""

    def answer(request: Request, error: NasError, headers: Mapping[str, str] | None = None) -> Response:
        return response(error, request.url.path, getattr(request.state, "request_id", ""), headers)

    async def of_service(request: Request, error: Exception) -> Response:
        assert isinstance(error, NasError)
        return answer(request, error)

    async def of_space(request: Request, error: Exception) -> Response:
        assert isinstance(error, SpaceError)
        return answer(request, from_space_error(error))

    async def of_dataset(request: Request, error: Exception) -> Response:
        return answer(request, InvalidInput(str(error)))

    async def of_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return answer(request, BadRequest("the body is not valid JSON"))
        body = getattr(request.scope.get("route"), "body_field", None)
        return answer(request, from_validation(error.errors(), model=body and body.field_info.annotation))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # The framework knows one route; the resource has all the methods of its path.
            path = getattr(request.scope.get("route"), "path_format", "")
            methods = [name.upper() for name in request.app.openapi()["paths"].get(path, {})]
            headers["Allow"] = ", ".join(sorted(methods + ["HEAD"] * ("GET" in methods))) or "GET, HEAD"
        return answer(request, from_status(error.status_code, str(error.detail)), headers)

    async def of_anything(request: Request, error: Exception) -> Response:
        # Raised again after this answer, for the outermost layer to log.
        return answer(request, failure())

    app.add_exception_handler(NasError, of_service)
    app.add_exception_handler(Exception, of_anything)
    app.add_exception_handler(SpaceError, of_space)
    app.add_exception_handler(DatasetError, of_dataset)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(HTTPException, of_http)


def failure() -> NasError:
    """What a client is told of an error that nothing foresaw."""
    return NasError("The service failed; its log has the request id.")


def from_status(status: int, detail: str) -> NasError:
    """An error for a status that the framework chose (unknown path, wrong method)."""
    phrase = HTTPStatus(status).phrase
    error = NasError(detail if detail and detail != phrase else f"{phrase}.")
    error.status, error.title, error.code = status, phrase, phrase.lower().replace(" ", "_").replace("-", "_")
    return error


def _message(item: Mapping[str, Any]) -> str:
    """What is wrong, without what is allowed, which is the suggestion's."""
    if item["type"] == "literal_error":
        return f"unknown value {str(item['input'])[:80]!r}"
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    if item["type"] in _KINDS:
        return f"must be {_KINDS[item['type']]}"
    pattern = _ID_PATTERN.fullmatch(str((item.get("ctx") or {}).get("pattern")))
    return f"an id is {pattern[1]} with 32 hexadecimal digits after it" if pattern else item["msg"]


def _suggestion(item: Mapping[str, Any], model: Any, location: Sequence[str | int]) -> str | None:
    expected = (item.get("ctx") or {}).get("expected")
    if expected is not None:
        names = re.findall(r"'([^']*)'", str(expected))
        return allowed(str(item["input"]), names) if names else f"allowed: {expected}"
    if item["type"] == "extra_forbidden":
        names = _field_names(model, location[:-1])
        return allowed(str(location[-1]), names) if names else "remove it; the OpenAPI document lists the fields"
    if item["type"] in _KINDS or item["type"] == "missing":
        example = _example(model, location)
        return None if example is None else f"e.g. {json.dumps(example)}"
    return None


def _example(model: Any, location: Sequence[str | int]) -> Any:
    """What the schema gives as an example of the field, or of the entry of a list, at a place in a ``model``."""
    path = [part for part in location if isinstance(part, str)]
    for one in _models_at(model, path[:-1]) if path else []:
        field = one.model_fields.get(path[-1])
        if field is not None and field.examples:
            return field.examples[0] if path[-1] == location[-1] else field.examples[0][0]
    return None


def _field_names(model: Any, location: Sequence[str | int]) -> list[str]:
    """The fields of the model at a place in a value of ``model``; of all alternatives where there are several."""
    return list(dict.fromkeys(name for one in _models_at(model, location) for name in one.model_fields))


def _models_at(model: Any, location: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models, all alternatives, at a place in a value of ``model``."""
    at = _models(model)
    for part in location:
        found = [
            inner for one in at if part in one.model_fields for inner in _models(one.model_fields[str(part)].annotation)
        ]
        # An index into a list, or the tag of an alternative, leads to no field.
        at = found or [one for one in at if one.__name__ == part] or at
    return at


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names: itself, or those in its lists, unions and optional values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _printable(text: str) -> str:
    # Lone surrogates from a request would break the encoder of the answer.
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()
