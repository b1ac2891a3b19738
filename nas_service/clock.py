"""Time in the service process: always UTC. Leases are judged by the database clock, never by this one."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC)
