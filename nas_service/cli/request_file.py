"""The file of a search request: read as documents of spaces are, and able to name its space by the path of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_service.client import ApiError
from nas_service.errors import InvalidInput, allowed
from search_spaces.errors import SpaceError
from search_spaces.language.reader import line_of, lines_of, read_text
from search_spaces.library_index import LIBRARY, load_file

_MAX_BYTES = 1024 * 1024  # what the API takes


def request_of_file(file: Path) -> dict[str, Any]:
    """The request in a YAML or JSON file; a ``space`` that is a text becomes a reference, see ``space_reference``.

    Raises InvalidInput with the place of what cannot be read, SpaceError for a document file with faults.
    """
    try:
        body = read_text(file.read_text(encoding="utf-8"), _MAX_BYTES)
    except UnicodeDecodeError:
        raise InvalidInput.at(str(file), "no YAML or JSON: it is not a text in UTF-8") from None
    except SpaceError as error:
        found = error.problems[0]
        if found.rule == "type" and not found.pointer:
            raise InvalidInput.at(str(file), "must hold one mapping, as the body of `POST /v1/searches`") from None
        place = f" at {found.pointer}" if found.pointer else ""
        raise InvalidInput.at(f"{file}{place}", found.message, suggestion=found.suggestion or None) from None
    if isinstance(body.get("space"), str):
        body["space"] = space_reference(body["space"], f"{file} at /space", file.parent)
    return dict(body)


def space_reference(text: str, place: str, folder: Path = Path()) -> dict[str, Any]:
    """A stored space by id, a built-in family by name, or a document file, relative to ``folder``.

    Raises InvalidInput at ``place`` for what is none of them, SpaceError for a document with faults.
    """
    if text.startswith("spc_"):
        return {"id": text}
    if text in LIBRARY:
        return {"library": text}
    if not (folder / text).is_file():
        message = f"{text!r} is neither a built-in family nor a file"
        raise InvalidInput.at(place, message, suggestion=allowed(text, LIBRARY))
    return {"document": load_file(folder / text).document.to_json()}


def with_lines(error: ApiError, file: Path) -> ApiError:
    """What the API found wrong with the request of a file, with lines of the file before its places."""
    lines = lines_of(file.read_text(encoding="utf-8"))
    detail, fields = str(error), []
    for field in error.fields:
        pointer = field.get("pointer", "")
        line = None if pointer.startswith("#") else line_of(pointer, lines)
        placed = f"line {line}, {pointer}" if line else pointer
        if line and detail.startswith(f"{pointer}:"):
            detail = placed + detail.removeprefix(pointer)
        fields.append({**field, "pointer": placed})
    return ApiError({**error.problem, "detail": detail, "errors": fields})
