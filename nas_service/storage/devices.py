"""Devices that can measure latency, and when each was last measured on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import and_, extract, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import DeviceRecord, DeviceWait
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import DeviceRow, JobRow, LatencyEstimatorRow, SearchRow


def register(session: Session, *, name: str, runtimes: list[str], fingerprint: dict[str, Any]) -> str:
    """Create the local device of this name, or bring its runtimes and fingerprint up to date; returns its id. One
    that is attached to the cluster (its fingerprint names a ``resource``) is there now."""
    values = {
        "runtimes": runtimes,
        "fingerprint": fingerprint,
        "seen_at": func.now() if "resource" in fingerprint else None,
    }
    statement = insert(DeviceRow).values(id=new_id("device"), name=name, kind="local", **values)
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=values)
    return session.execute(statement.returning(DeviceRow.id)).scalar_one()


def note_seen(session: Session, resources: Collection[str]) -> None:
    """The attached devices of these resources are there now."""
    session.execute(
        update(DeviceRow).where(DeviceRow.fingerprint["resource"].astext.in_(resources)).values(seen_at=func.now())
    )


def waits(session: Session, search_ids: Collection[str] | None = None) -> list[DeviceWait]:
    """The running searches, or those of them that are named, whose next measurement is due on a device that is away.

    A search has waited since the later of both: the device left, the measurement was due.
    """
    if search_ids is not None and not search_ids:
        return []
    measures = or_(JobRow.subject_id == LatencyEstimatorRow.id, JobRow.search_id == SearchRow.id)
    since = func.greatest(DeviceRow.seen_at, JobRow.run_after)
    query = (
        select(SearchRow.id, DeviceRow.name, DeviceRow.away_since, func.min(extract("epoch", func.now() - since)))
        .join(LatencyEstimatorRow, LatencyEstimatorRow.id == SearchRow.estimator_id)
        .join(DeviceRow, DeviceRow.id == LatencyEstimatorRow.device_id)
        .join(JobRow, and_(measures, JobRow.resource == DeviceRow.fingerprint["resource"].astext))
        .where(SearchRow.state == "running", DeviceRow.away_since.is_not(None), JobRow.state == "queued")
        .group_by(SearchRow.id, DeviceRow.id)
    )
    if search_ids is not None:
        query = query.where(SearchRow.id.in_(search_ids))
    return [
        DeviceWait(search_id, device, away_since, float(waited_s))
        for search_id, device, away_since, waited_s in session.execute(query)
        if away_since is not None
    ]


def get(session: Session, id_or_name: str) -> DeviceRecord:
    """The device of this id or name. Raises NotFound."""
    query = select(DeviceRow).where(or_(DeviceRow.id == id_or_name, DeviceRow.name == id_or_name))
    row = session.scalars(query.limit(1)).first()
    if row is None:
        raise NotFound(f"device {id_or_name} does not exist")
    return to_record(row, DeviceRecord)


def page(session: Session, *, limit: int, after: str | None = None) -> list[DeviceRecord]:
    """Devices, newest first."""
    return newest_first(session, select(DeviceRow), DeviceRow, DeviceRecord, limit=limit, after=after)


def touch(session: Session, device_id: str) -> None:
    """Note that a measurement on the device has just been recorded."""
    session.execute(update(DeviceRow).where(DeviceRow.id == device_id).values(last_measured_at=func.now()))
