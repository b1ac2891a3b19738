"""The least rows a search needs, for tests of storage."""

from __future__ import annotations

from typing import Any

from nas_service.ids import new_id
from nas_service.storage.session import Session
from nas_service.storage.tables import DatasetRow, SearchRow, SearchSpaceRow


def add_search(session: Session, state: str = "running", phase: str = "search", **columns: Any) -> str:
    """Insert a search in ``state`` with its space and data set; its id."""
    search_id = new_id("search")
    space_id, dataset_id = f"spc_{search_id[5:]}", new_id("dataset")
    session.add(SearchSpaceRow(id=space_id, name="tiny", document={}, num_genes=1, cardinality=2))
    session.add(DatasetRow(id=dataset_id, name=dataset_id, fingerprint="f", manifest={}))
    session.flush()
    values = {"name": "a search", "spec": {}, "space_id": space_id, "dataset_id": dataset_id, **columns}
    session.add(SearchRow(id=search_id, state=state, phase=phase, **values))
    session.flush()
    return search_id
