"""What several workers can do together. Apart from the other tasks, whose libraries a group needs not wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workers.context import WorkContext
from workers.training.distributed import WorkerGroup
from workers.training.train_supernet import train_supernet

# Each rank calls the function with its place in the group.
GROUP_TASKS: dict[str, Callable[[dict[str, Any], WorkContext, WorkerGroup], dict[str, Any]]] = {
    "train_supernet": train_supernet,
}
