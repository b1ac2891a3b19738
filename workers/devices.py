"""What the dispatcher registers as devices: this machine's processors, and what is attached to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_service.methods.runtimes import RUNTIMES
from nas_service.storage import devices
from nas_service.storage.session import Session
from workers.attached import attached_devices
from workers.measure.machine import machine_fingerprint


def register_local(session: Session, has_cuda: bool) -> None:
    """Let searches name this machine's processors."""
    for processor in ("cpu", "cuda") if has_cuda else ("cpu",):
        _register(session, f"local-{processor}", processor, machine_fingerprint())


def register_attached(session: Session, machines: Mapping[str, dict[str, Any]]) -> None:
    """Let searches name what is attached: the fingerprint of each machine by resource."""
    for device in attached_devices(machines):
        _register(session, device.name, device.processor, {**machines[device.resource], "resource": device.resource})


def _register(session: Session, name: str, processor: str, fingerprint: dict[str, Any]) -> None:
    runtimes = sorted(name for name, runtime in RUNTIMES.items() if processor in runtime.processors)
    devices.register(session, name=name, runtimes=runtimes, fingerprint={**fingerprint, "processor": processor})
