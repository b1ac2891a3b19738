"""What the dispatcher needs of a pool of workers, whatever executes the jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Report:
    """Something a job says while it runs: small JSON with a ``type``."""

    job_id: str
    epoch: int
    data: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A job has ended: with a ``result``, or with an ``error`` {reason, message}."""

    job_id: str
    epoch: int
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class Lost:
    """The worker of a job is gone, and with it whatever the job had not reported."""

    job_id: str
    epoch: int
    message: str


Message = Report | Done | Lost


class Pool(Protocol):
    """A number of slots, each a long-lived worker that keeps data and weights warm and does one job at a time."""

    num_slots: int
    device: str
    # the most slots that one job can have
    largest_group: int

    @property
    def num_free(self) -> int:
        """Slots that can take a job now."""
        ...

    @property
    def num_busy(self) -> int:
        """Slots with a job."""
        ...

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        """Start a job on a free slot, best one that has worked with the same supernet; one of several workers on as
        many (``slots_needed``). RuntimeError if they are not free."""
        ...

    def poll(self, timeout_s: float) -> list[Message]:
        """What has happened since the last call, waiting up to ``timeout_s`` for something; reports of a job come
        before its end."""
        ...

    def stop(self, job_id: str) -> None:
        """Ask a job to save its work and end early; it then ends with a result that says ``interrupted``."""
        ...

    def kill(self, job_id: str) -> None:
        """End the worker of a job at once; the job is then reported as lost."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


def slots_needed(kind: str, payload: dict[str, Any]) -> int:
    """How many slots a job takes: the workers of its recipe."""
    return int((payload.get("recipe") or {}).get("workers", 1)) if kind == "train_supernet" else 1


def warm_key(kind: str, payload: dict[str, Any]) -> str:
    """Jobs of one key profit from the same worker: it has their weights or data in memory."""
    supernet = payload.get("supernet") or {}
    key = supernet.get("id") or payload.get("supernet_id") or payload.get("search_id") or payload.get("dataset") or kind
    return str(key)
