"""Trials of one stage as columns, for charts of many thousands of them: no objects, only the fields asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Double, case, cast, func, select
from sqlalchemy.orm import Session

from nas_service.storage.tables import TrialRow

_FIXED = ("accuracy_top1", "loss", "macs", "params", "latency_ms")
_TIMES = {"created_unix_s": TrialRow.created_at, "finished_unix_s": TrialRow.finished_at}


def read(
    session: Session, search_id: str, stage: str, fields: Sequence[str], *, first: int = 0, limit: int
) -> dict[str, list[Any]]:
    """Up to ``limit`` trials from number ``first`` on: ``number`` and each of ``fields`` as equally long lists.

    A field is ``id``, ``state``, ``genes``, ``created_unix_s``, ``finished_unix_s`` (seconds) or the name of a metric,
    whose values are numbers or None.
    """
    names = ["number", *fields]
    query = (
        select(*[_column(name) for name in names])
        .where(TrialRow.search_id == search_id, TrialRow.stage == stage, TrialRow.number >= first)
        .order_by(TrialRow.number)
        .limit(limit)
    )
    rows = session.execute(query).all()
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: list(values) for name, values in zip(names, columns, strict=True)}


def _column(name: str) -> Any:
    if name in ("number", "id", "state", "genes", "fidelity"):
        return getattr(TrialRow, name)
    if name in _TIMES:
        return cast(func.extract("epoch", _TIMES[name]), Double)
    return metric(name)


def metric(name: str) -> Any:
    """The value of a metric as SQL: its column, or else what ``metrics`` holds under this name."""
    value = TrialRow.metrics[name]
    number = case((func.jsonb_typeof(value) == "number", cast(value.astext, Double)))
    return func.coalesce(getattr(TrialRow, name), number) if name in _FIXED else number
