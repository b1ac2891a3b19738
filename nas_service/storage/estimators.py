"""Latency estimators: one row per space, device and measurement target, fitted once and shared by searches."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import EstimatorRecord
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.records import to_record
from nas_service.storage.tables import LatencyEstimatorRow


def define(
    session: Session, *, definition_key: str, space_id: str, device_id: str, target: dict[str, Any]
) -> EstimatorRecord:
    """The estimator of this definition, created (state ``queued``) when there is none."""
    session.execute(
        insert(LatencyEstimatorRow)
        .values(
            id=new_id("estimator"),
            definition_key=definition_key,
            space_id=space_id,
            device_id=device_id,
            target=target,
            state="queued",
        )
        .on_conflict_do_nothing(index_elements=["definition_key"])
    )
    query = select(LatencyEstimatorRow).where(LatencyEstimatorRow.definition_key == definition_key)
    return to_record(session.scalars(query).one(), EstimatorRecord)


def get(session: Session, estimator_id: str) -> EstimatorRecord:
    """The estimator. Raises NotFound."""
    row = session.get(LatencyEstimatorRow, estimator_id, populate_existing=True)
    if row is None:
        raise NotFound(f"latency estimator {estimator_id} does not exist")
    return to_record(row, EstimatorRecord)


def set_ready(session: Session, estimator_id: str, *, document: dict[str, Any], held_out: dict[str, Any]) -> None:
    """The estimator is fitted; ``held_out`` is its error on architectures it has not seen."""
    session.execute(
        update(LatencyEstimatorRow)
        .where(LatencyEstimatorRow.id == estimator_id)
        .values(state="ready", document=document, held_out=held_out, error=None)
    )


def set_state(session: Session, estimator_id: str, state: str, error: dict[str, Any] | None = None) -> None:
    """Set a state other than ``ready``; a ready estimator stays ready."""
    session.execute(
        update(LatencyEstimatorRow)
        .where(LatencyEstimatorRow.id == estimator_id, LatencyEstimatorRow.state != "ready")
        .values(state=state, error=error)
    )
