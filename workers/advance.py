"""Job: take a search over a table further by many trials at once. Needs NumPy only."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from pydantic import BaseModel

from nas_service.domain.search import SearchSpec
from nas_service.tables.inline import InlineSearch
from nas_service.tables.table import Table, load_table
from workers.context import WorkContext

TARGET_S = 0.7
LONGEST_S = 20.0
MAX_TRIALS = 20_000
_KEPT_SEARCHES, _KEPT_TABLES = 4, 2

_searches: OrderedDict[str, InlineSearch] = OrderedDict()
_tables: OrderedDict[str, Table] = OrderedDict()


class AdvanceJob(BaseModel):
    """Payload: where the search stands. ``history`` is left out where the worker is likely to know it."""

    search_id: str
    spec: dict[str, Any]
    table_id: str
    num_asked: int
    num_told: int
    strategy_state: dict[str, Any] | None
    history: dict[str, Any] | None
    remaining_s: float | None


def advance(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """``{"chunk": ...}`` with the next trials, ``{"cold": True}`` when the history is needed and was not sent.

    A chunk lasts most of a second, so that what people watch moves; where the strategy had to be rebuilt first it
    lasts twice as long as that took, so that searches which change workers again and again still get on.
    """
    job = AdvanceJob.model_validate(payload)
    started = time.monotonic()
    search = _searches.pop(job.search_id, None)
    if search is None or (search.num_asked, search.num_told) != (job.num_asked, job.num_told):
        if job.history is None:
            return {"cold": True}
        spec, table = SearchSpec.from_json(job.spec), _table(job.table_id, context)
        search = InlineSearch(spec, table, job.table_id, job.history.get("earlier", ()))
        search.restore(job.strategy_state, job.num_told, job.history)
    now = time.monotonic()
    until = now + min(max(TARGET_S, 2 * (now - started)), LONGEST_S)
    wall = None if job.remaining_s is None else started + job.remaining_s

    def out_of_time() -> bool:
        return wall is not None and time.monotonic() >= wall

    def stop(num_trials: int) -> bool:
        enough = num_trials >= MAX_TRIALS or time.monotonic() >= until or context.should_stop()
        return enough and num_trials > 0

    chunk = search.run(stop, out_of_time)
    if not search.is_over:
        _searches[job.search_id] = search
    while len(_searches) > _KEPT_SEARCHES:
        _searches.popitem(last=False)
    return {"chunk": vars(chunk), "num_trials": len(chunk.states), "compute_s": time.monotonic() - started}


def _table(table_id: str, context: WorkContext) -> Table:
    """The table from memory or from the artifact store; its content is checked against its id."""
    table = _tables.pop(table_id, None) or load_table(context.artifacts, table_id)
    _tables[table_id] = table
    while len(_tables) > _KEPT_TABLES:
        _tables.popitem(last=False)
    return table
