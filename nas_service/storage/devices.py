"""Devices that can measure latency, and when each was last measured on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import DeviceRecord
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import DeviceRow


def register(session: Session, *, name: str, runtimes: list[str], fingerprint: dict[str, Any]) -> str:
    """Create the local device of this name, or bring its runtimes and fingerprint up to date; returns its id."""
    statement = insert(DeviceRow).values(
        id=new_id("device"), name=name, kind="local", runtimes=runtimes, fingerprint=fingerprint
    )
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"runtimes": runtimes, "fingerprint": fingerprint}
    )
    return session.execute(statement.returning(DeviceRow.id)).scalar_one()


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
