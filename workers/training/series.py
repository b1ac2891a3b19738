"""The checkpoints of one training job: where they lie, which to resume from, how many to keep."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from workers.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    newest,
    prune,
    step_name,
    sweep,
    verify,
    write_checkpoint,
)

KEEP = 3


def config_sha256(config: Mapping[str, Any]) -> str:
    """Digest of all that decides the weights: space, data set, recipe, seed."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class CheckpointSeries:
    """Checkpoints of one job in `artifacts/relative`, written under `epoch`."""

    artifacts: Path
    relative: str
    epoch: int
    config: str

    @property
    def directory(self) -> Path:
        """Where the checkpoints lie."""
        return self.artifacts / self.relative

    def latest(self) -> Checkpoint | None:
        """The newest undamaged checkpoint; CheckpointError if it belongs to another job."""
        return self._ours(newest(self.directory))

    def at(self, step: int, epoch: int) -> Checkpoint:
        """The checkpoint of that step and epoch, which must be there."""
        found = self._ours(verify(self.directory / step_name(step, epoch)))
        assert found is not None
        return found

    def clean(self) -> None:
        """Remove what killed writers left behind."""
        sweep(self.directory, self.epoch)

    def save(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Checkpoint:
        """Write the checkpoint after `step` steps and drop the oldest ones."""
        state = {**state, "step": step, "epoch": self.epoch, "config_sha256": self.config}
        written = write_checkpoint(self.directory, step_name(step, self.epoch), tensors, state)
        prune(self.directory, KEEP, self.epoch)
        return written

    def reference(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """What other jobs need to find and trust the checkpoint."""
        path = f"{self.relative.rstrip('/')}/{checkpoint.path.name}"
        return {"path": path, "step": int(checkpoint.state["step"]), "sha256": checkpoint.sha256}

    def _ours(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        if checkpoint is not None and checkpoint.state.get("config_sha256") != self.config:
            raise CheckpointError(f"{checkpoint.path.name}: was trained with another space, data set, recipe or seed")
        return checkpoint
