"""Machines of the cluster that say they are a device which searches can name.

A node of the cluster becomes a device by a resource of its own: `ray start ... --resources '{"device:pi5": 1}'`. What
is measured on `pi5` is then measured there and nowhere else. `"device:t4:cuda"` means a GPU of the node instead of its
processor; that GPU does nothing else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_RESOURCE = re.compile(r"device:(?P<name>(?!local-)[A-Za-z0-9][A-Za-z0-9._-]{0,63})(:(?P<processor>cpu|cuda))?")


@dataclass(frozen=True)
class Attached:
    """A device that a node of the cluster is; `resource` is how Ray calls it."""

    resource: str
    name: str
    processor: str

    @property
    def num_gpus(self) -> int:
        """GPUs it has to itself."""
        return 1 if self.processor == "cuda" else 0


def attached_devices(resources: Iterable[str]) -> list[Attached]:
    """The devices among the names of a cluster's resources; a name that is none is logged."""
    found: dict[str, Attached] = {}
    for resource in sorted(resources):
        if not resource.startswith("device:"):
            continue
        match = _RESOURCE.fullmatch(resource)
        if match is None:
            log.warning("resource %s names no device: device:NAME or device:NAME:cuda, NAME not local-...", resource)
        elif match["name"] in found:
            log.warning("resource %s is left out: the device is %s already", resource, found[match["name"]].resource)
        else:
            found[match["name"]] = Attached(resource, match["name"], match["processor"] or "cpu")
    return list(found.values())


def free_gpus(resources: Mapping[str, float], attached: Iterable[Attached]) -> int:
    """GPUs that are left for ordinary work."""
    return int(resources.get("GPU", 0)) - sum(device.num_gpus for device in attached)
