"""What is known of latencies on all devices: measurements by architecture, and estimators by space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from nas_service.domain.search import LatencyTarget
from nas_service.storage.tables import DeviceRow, LatencyEstimatorRow, MeasurementRow, SearchRow

# value, p10 and p90 in milliseconds
Latency = tuple[float, float | None, float | None]


def measured(session: Session, hashes: Sequence[str], target: LatencyTarget) -> dict[str, dict[str, Latency]]:
    """By device name and architecture hash the newest measurement under the target's runtime, batch and threads."""
    what = MeasurementRow
    query = (
        select(DeviceRow.name, what.architecture_hash, what.value, what.p10, what.p90)
        .join(DeviceRow, DeviceRow.id == what.device_id)
        .join(SearchRow, SearchRow.id == what.search_id)
        .join(LatencyEstimatorRow, LatencyEstimatorRow.id == SearchRow.estimator_id)
        .where(what.metric == "latency_ms", what.architecture_hash.in_(hashes), _same(target))
        .order_by(what.created_at, what.id)
    )
    found: dict[str, dict[str, Latency]] = {}
    for device, architecture_hash, value, p10, p90 in session.execute(query):
        found.setdefault(device, {})[architecture_hash] = (value, p10, p90)
    return found


def estimators(session: Session, space_id: str, target: LatencyTarget) -> dict[str, dict[str, Any]]:
    """By device name the fitted estimator of the space under the target's runtime, batch and threads."""
    query = (
        select(DeviceRow.name, LatencyEstimatorRow.document)
        .join(DeviceRow, DeviceRow.id == LatencyEstimatorRow.device_id)
        .where(LatencyEstimatorRow.space_id == space_id, LatencyEstimatorRow.state == "ready", _same(target))
    )
    return {device: document for device, document in session.execute(query) if document is not None}


def _same(target: LatencyTarget) -> ColumnElement[bool]:
    """Measured in the same way, wherever."""
    way = {"runtime": target.runtime, "batch_size": target.batch_size, "threads": target.threads}
    return LatencyEstimatorRow.target.contains(way)
