"""A data set on the compute device: keyed order of training images, and the fixed batches of a split."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nas_service.datasets.dataset import Dataset
from workers.training.keyed import stream

# Larger arrays stay in the memory map and are copied batch by batch.
MAX_ON_DEVICE_BYTES = 4 << 30


@dataclass
class DeviceData:
    """Images or vectors as stored and labels, on the device where they fit; batches come out normalised float32."""

    dataset: Dataset
    device: torch.device
    _batches: dict[tuple[str, int | None, int], list[tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        on_device = self.dataset.x.nbytes <= MAX_ON_DEVICE_BYTES
        self._x = torch.from_numpy(np.array(self.dataset.x)).to(self.device) if on_device else None
        self._y = torch.from_numpy(np.array(self.dataset.y)).to(self.device)
        rule = self.dataset.info["normalisation"]
        shape = (1, -1) + (1,) * (self.dataset.x.ndim - 2)
        self._divide_by = float(rule["divide_by"])
        self._mean = torch.tensor(rule["mean"], dtype=torch.float32, device=self.device).reshape(shape)
        self._std = torch.tensor(rule["std"], dtype=torch.float32, device=self.device).reshape(shape)

    @property
    def num_train(self) -> int:
        """Samples of the training split."""
        return len(self.train_indices)

    @property
    def train_indices(self) -> np.ndarray:
        """Indices of the training split, ascending."""
        return self.dataset.indices("train")

    def raw(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """(x, y) of these samples: x (n, ...) float32 in the units it is stored in, y (n,) int64."""
        chosen = torch.from_numpy(np.array(indices, dtype=np.int64)).to(self.device)
        if self._x is not None:
            x = self._x[chosen]
        else:
            x = torch.from_numpy(np.array(self.dataset.x[indices])).to(self.device)
        return x.float(), self._y[chosen]

    def normalise(self, x: Tensor) -> Tensor:
        """Stored units to network input, as the data set's own rule says."""
        return (x / self._divide_by - self._mean) / self._std

    def batches(self, split: str, batch_size: int, num_samples: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """The normalised batches of a split in fixed order, kept for reuse.

        With `num_samples` an evenly spaced, and so seed-free, part of the split is used.
        """
        key = (split, num_samples, batch_size)
        if key not in self._batches:
            indices = self.dataset.indices(split)
            if num_samples is not None and num_samples < len(indices):
                indices = indices[np.linspace(0, len(indices) - 1, num_samples).round().astype(np.int64)]
            batches = []
            for start in range(0, len(indices), batch_size):
                x, y = self.raw(indices[start : start + batch_size])
                x = self.normalise(x)
                batches.append((x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x, y))
            self._batches[key] = batches
        return self._batches[key]


class TrainingOrder:
    """The endless stream of training samples: a fresh permutation per epoch, keyed by (seed, epoch)."""

    def __init__(self, indices: np.ndarray, batch_size: int, seed: int) -> None:
        self._indices = indices
        self._batch_size = batch_size
        self._seed = seed
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def batch(self, step: int) -> np.ndarray:
        """Indices (batch_size,) of the batch of this step; a batch may reach over an epoch's end."""
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs, offsets = np.divmod(positions, len(self._indices))
        parts = [self._permutation(int(epoch))[offsets[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(parts)

    def _draw(self, epoch: int) -> np.ndarray:
        return self._indices[stream(self._seed, "order", epoch).permutation(len(self._indices))]
