"""The search space that a request names or carries: compiled, stored, and refused with pointers into the request."""

from __future__ import annotations

from typing import Any

from nas_service.api.problems import from_space_error
from nas_service.api.schemas import SpaceIn
from nas_service.control.spaces import store_space
from nas_service.errors import InvalidInput, NotFound, Problem, allowed
from nas_service.storage import spaces
from nas_service.storage.session import Session
from search_spaces.errors import SpaceError
from search_spaces.library_index import LIBRARY, load_library
from search_spaces.space import SearchSpace

# Places in a specification, as the controller names them, and where the request has them.
_PLACES = (("/space_id", "/space"), ("/dataset_id", "/dataset"))
_OBJECTIVE_PLACES = (("/target/device", "/device"), ("/target/runtime", "/runtime"), ("/target", "/device"))


def compile_document(document: dict[str, Any], pointer: str) -> SearchSpace:
    """The compiled space. Raises InvalidInput with pointers below ``pointer``."""
    try:
        return SearchSpace.from_document(document)
    except SpaceError as error:
        raise from_space_error(error, pointer) from None


def stored_space_id(session: Session, space: SpaceIn, created_by: str) -> str:
    """The id of the named space, stored if it was not. Raises InvalidInput."""
    given = [name for name in ("id", "library", "document") if getattr(space, name) is not None]
    if len(given) != 1:
        raise InvalidInput.at("/space", "give exactly one of id, library, document")
    if space.id is not None:
        try:
            return spaces.get(session, space.id).id
        except NotFound as error:
            raise InvalidInput.at(
                "/space/id", error.detail, code="unknown", suggestion="GET /v1/search-spaces lists them"
            ) from None
    if space.library is not None:
        if space.library not in LIBRARY:
            message = f"no built-in space is called '{space.library}'"
            raise InvalidInput.at("/space/library", message, code="unknown", suggestion=allowed(space.library, LIBRARY))
        return store_space(session, load_library(space.library), created_by)
    return store_space(session, compile_document(space.document or {}, "/space/document"), created_by)


def in_request(error: InvalidInput) -> InvalidInput:
    """The controller's findings about a specification, with pointers into the request it came from."""
    problems = tuple(
        Problem(_request_pointer(item.pointer), item.code, item.message, item.suggestion) for item in error.problems
    )
    return InvalidInput(error.detail, problems=problems)


def _request_pointer(pointer: str) -> str:
    for place, shown in _PLACES:
        if pointer == place:
            return shown
    if pointer.startswith("/objectives/"):
        for place, shown in _OBJECTIVE_PLACES:
            if pointer.endswith(place):
                return pointer.removesuffix(place) + shown
    return pointer
