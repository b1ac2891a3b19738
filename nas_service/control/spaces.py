"""Compiled search spaces by id. An id is the hash of the document, so a compiled space never goes stale."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from nas_service.storage import spaces
from nas_service.storage.session import Session
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace

_KEPT = 16
_compiled: OrderedDict[str, SearchSpace] = OrderedDict()
_lock = Lock()


def compiled_space(session: Session, space_id: str) -> SearchSpace:
    """The compiled space of this id; the few used last are kept. Raises NotFound."""
    with _lock:
        if space_id in _compiled:
            _compiled.move_to_end(space_id)
            return _compiled[space_id]
    space = SearchSpace.from_document(parse_document(spaces.get(session, space_id).document))
    with _lock:
        _compiled[space_id] = space
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return space


def store_space(session: Session, space: SearchSpace, created_by: str | None = None) -> str:
    """Store the document of a compiled space and return the id."""
    return spaces.put(
        session,
        space_id=space.id,
        name=space.name,
        document=space.document.to_json(),
        num_genes=len(space.genes),
        cardinality=space.cardinality,
        created_by=created_by,
    )
