"""What the dispatcher needs of a pool of workers, whatever executes the jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

    device: str

    @property
    def num_slots(self) -> int:
        """Slots for any job, free or not."""
        ...

    @property
    def largest_group(self) -> int:
        """The most slots that one job can have, once all nodes that were ever there are back."""
        ...

    @property
    def devices(self) -> Mapping[str, dict[str, Any]]:
        """Machines (``measure.machine``) of the attached devices that are there now, by the resource that jobs name."""
        ...

    @property
    def num_free(self) -> int:
        """Slots that can take a job now; those of attached devices are not among them, nor are reserved ones."""
        ...

    @property
    def num_busy(self) -> int:
        """Slots with a job."""
        ...

    def reserve(self, devices: Collection[str]) -> None:
        """From now on nothing new starts beside these attached devices, on the machines that they are."""
        ...

    def is_quiet(self, device: str) -> bool:
        """Whether nothing runs on the machine of an attached device."""
        ...

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        """Start a job on a free slot, best one that has worked with the same supernet; one of several workers on as
        many (``slots_needed``); one for an attached device (``device_needed``) there. RuntimeError if they are not
        free."""
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


def device_needed(payload: dict[str, Any]) -> str | None:
    """The resource of the attached device that a job measures on; None: any slot will do."""
    resource: str | None = payload.get("resource")
    return resource


def warm_key(kind: str, payload: dict[str, Any]) -> str:
    """Jobs of one key profit from the same worker: it has their weights or data in memory."""
    supernet = payload.get("supernet") or {}
    key = supernet.get("id") or payload.get("supernet_id") or payload.get("search_id") or payload.get("dataset") or kind
    return str(key)
