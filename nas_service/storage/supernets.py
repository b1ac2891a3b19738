"""Supernets: one row per definition (space, data set, recipe, seed), with its checkpoint and learning curves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import CurvePoint, SupernetRecord
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import SupernetCurvePointRow, SupernetRow


def define(
    session: Session, *, definition_key: str, space_id: str, dataset_id: str, recipe: dict[str, Any], seed: int
) -> SupernetRecord:
    """The supernet of this definition, created (state ``queued``) when there is none."""
    session.execute(
        insert(SupernetRow)
        .values(
            id=new_id("supernet"),
            definition_key=definition_key,
            space_id=space_id,
            dataset_id=dataset_id,
            recipe=recipe,
            seed=seed,
            state="queued",
        )
        .on_conflict_do_nothing(index_elements=["definition_key"])
    )
    row = session.scalars(select(SupernetRow).where(SupernetRow.definition_key == definition_key)).one()
    return to_record(row, SupernetRecord)


def get(session: Session, supernet_id: str) -> SupernetRecord:
    """The supernet. Raises NotFound."""
    row = session.get(SupernetRow, supernet_id, populate_existing=True)
    if row is None:
        raise NotFound(f"supernet {supernet_id} does not exist")
    return to_record(row, SupernetRecord)


def get_many(session: Session, supernet_ids: Collection[str]) -> dict[str, SupernetRecord]:
    """Supernets by id."""
    if not supernet_ids:
        return {}
    found = session.scalars(select(SupernetRow).where(SupernetRow.id.in_(supernet_ids)))
    return {row.id: to_record(row, SupernetRecord) for row in found}


def find(session: Session, definition_key: str) -> SupernetRecord | None:
    """The supernet of this definition, or None."""
    row = session.scalars(select(SupernetRow).where(SupernetRow.definition_key == definition_key)).first()
    return None if row is None else to_record(row, SupernetRecord)


def page(session: Session, *, limit: int, after: str | None = None) -> list[SupernetRecord]:
    """Supernets, newest first."""
    return newest_first(session, select(SupernetRow), SupernetRow, SupernetRecord, limit=limit, after=after)


def set_state(session: Session, supernet_id: str, state: str, error: dict[str, Any] | None = None) -> None:
    """Set a state other than ``ready``; a ready supernet stays ready."""
    session.execute(
        update(SupernetRow)
        .where(SupernetRow.id == supernet_id, SupernetRow.state != "ready")
        .values(state=state, error=error)
    )


def set_ready(
    session: Session, supernet_id: str, *, checkpoint: dict[str, Any], train_s: float, warnings: list[dict[str, str]]
) -> None:
    """The supernet is trained: ``checkpoint`` is ``{path, step, sha256}``, ``warnings`` what should be known of it."""
    session.execute(
        update(SupernetRow)
        .where(SupernetRow.id == supernet_id)
        .values(
            state="ready",
            checkpoint=checkpoint,
            train_s=train_s,
            warnings=warnings,
            error=None,
            ready_at=func.now(),
        )
    )


def add_curve_point(
    session: Session, supernet_id: str, *, subnet: str, step: int, epoch: int, accuracy_top1: float, loss: float
) -> None:
    """Store a point; the same step reported again after a resume replaces the point of an older epoch."""
    statement = insert(SupernetCurvePointRow).values(
        supernet_id=supernet_id, subnet=subnet, step=step, epoch=epoch, accuracy_top1=accuracy_top1, loss=loss
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["supernet_id", "subnet", "step"],
            set_={"epoch": epoch, "accuracy_top1": accuracy_top1, "loss": loss},
            where=SupernetCurvePointRow.epoch <= epoch,
        )
    )


def curve(session: Session, supernet_id: str) -> list[CurvePoint]:
    """The learning curves, ordered by step and subnet."""
    query = (
        select(SupernetCurvePointRow)
        .where(SupernetCurvePointRow.supernet_id == supernet_id)
        .order_by(SupernetCurvePointRow.step, SupernetCurvePointRow.subnet)
    )
    return [to_record(row, CurvePoint) for row in session.scalars(query)]


def mean_train_s(session: Session, space_id: str) -> float | None:
    """Mean training time of finished supernets of a space, None when there is none."""
    query = select(func.avg(SupernetRow.train_s)).where(SupernetRow.space_id == space_id)
    return session.scalar(query)
