"""A data set on the compute device: keyed order of training samples, and the fixed batches of a split."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas_service.datasets.dataset import Dataset
from workers.training.keyed import stream
from workers.training.tokens import MaskDraws, draw_masks, mask, next_tokens
from workers.training.transfer import on_device

# Larger arrays stay in the memory map and are copied batch by batch.
MAX_ON_DEVICE_BYTES = 4 << 30
# Largest batches of a split when it is scored. Fixed, because sums of floats depend on it.
SCORE_BATCH_SIZE = 1024
# Logits of one scored batch of a language model, which has as many as tokens of the vocabulary at each position.
_MAX_SCORED_LOGITS = 1 << 25

# All batches of splits that are kept for reuse; those of larger splits are made anew each time.
MAX_KEPT_BYTES = 4 << 30

Batch = tuple[Tensor, Tensor]
Batches = Sequence[Batch]


@dataclass(frozen=True)
class _MadeOnDemand(Sequence[Batch]):
    """Batches of which only the one in use takes memory."""

    make: Callable[[int], Batch]
    num_batches: int

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.num_batches:
            raise IndexError(number)
        return self.make(number)


@dataclass
class DeviceData:
    """Samples as stored and labels, on the device where they fit.

    Batches come out as networks read them: images and vectors normalised float32, text as int64 ids (n, L). What a
    network is to say about a sample depends on its task: the label, the next tokens or masked tokens.
    """

    dataset: Dataset
    device: torch.device
    _kept: OrderedDict[tuple[str, int | None, int, str], list[Batch]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        fits = self.dataset.x.nbytes <= MAX_ON_DEVICE_BYTES
        self._x = torch.from_numpy(np.array(self.dataset.x)).to(self.device) if fits else None
        self._y = torch.from_numpy(np.array(self.dataset.y)).to(self.device)
        self._is_text = self.dataset.kind == "text"
        if self._is_text:
            return
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
        """(x, y) of these samples: x (n, ...) float32 in the units it is stored in, or int64 ids; y (n,) int64."""
        chosen = on_device(np.array(indices, dtype=np.int64), self.device)
        x = on_device(np.array(self.dataset.x[indices]), self.device) if self._x is None else self._x[chosen]
        return x.long() if self._is_text else x.float(), self._y[chosen]

    def normalise(self, x: Tensor) -> Tensor:
        """Stored units to network input, as the data set's own rule says; ids stay as they are."""
        return x if self._is_text else (x / self._divide_by - self._mean) / self._std

    def draw_masks(self, num_samples: int, rng: np.random.Generator) -> MaskDraws:
        """Which tokens of so many samples of text are masked."""
        rule = self.dataset.info["input"]
        return draw_masks(num_samples, rule["length"], rule["vocabulary"], rng)

    def with_targets(self, x: Tensor, y: Tensor, task: str, masks: MaskDraws | None) -> tuple[Tensor, Tensor]:
        """What a network for `task` reads and is to answer; labels y (n,) become ids (n, L) for language models."""
        if task == "causal_lm":
            return x, next_tokens(x)
        return (x, y) if masks is None else mask(x, masks)

    def batches(self, split: str, batch_size: int, num_samples: int | None = None, task: str = "") -> Batches:
        """The batches of a split for a task, in fixed order and with fixed masks, kept for reuse where they fit.

        They are as even as can be, so that none is left with a single sample, of which batch norms know no variance.
        With `num_samples` an evenly spaced, and so seed-free, part of the split is used.
        """
        kind = task if task.endswith("_lm") else ""
        key = (split, num_samples, batch_size, kind)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        indices = self.dataset.indices(split)
        if num_samples is not None and num_samples < len(indices):
            indices = indices[np.linspace(0, len(indices) - 1, num_samples).round().astype(np.int64)]

        num_batches = math.ceil(len(indices) / batch_size)

        def make(number: int) -> Batch:
            start, end = (len(indices) * edge // num_batches for edge in (number, number + 1))
            x, y = self.raw(indices[start:end])
            masks = self.draw_masks(len(x), stream(0, "masks", split, start)) if kind == "masked_lm" else None
            x, y = self.with_targets(self.normalise(x), y, kind, masks)
            return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x, y

        batches = _MadeOnDemand(make, num_batches)
        if self._bytes_of(len(indices)) > MAX_KEPT_BYTES:
            return batches
        made = list(batches)
        while self._kept and self._bytes_kept() + self._bytes_of(len(indices)) > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)
        self._kept[key] = made
        return made

    def _bytes_of(self, num_samples: int) -> int:
        """What so many samples take as networks read them: float32, or ids and targets of 8 bytes."""
        return num_samples * math.prod(self.dataset.x.shape[1:]) * (16 if self._is_text else 4)

    def _bytes_kept(self) -> int:
        return sum(self._bytes_of(sum(len(x) for x, _ in batches)) for batches in self._kept.values())

    def scored(self, split: str, task: str) -> Batches:
        """The batches in which a split is scored."""
        size = SCORE_BATCH_SIZE
        if task.endswith("_lm"):
            rule = self.dataset.info["input"]
            size = max(1, min(size, _MAX_SCORED_LOGITS // (rule["length"] * rule["vocabulary"])))
        return self.batches(split, size, task=task)


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
