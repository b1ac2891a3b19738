"""Several workers training one network: the same tasks on every rank, each with its share of the micro-batches.

Gradients are added by hand once per step. Wrapping the network instead would not do: subnets use different
parameters in each pass, and synchronised batch-norm refuses CPU tensors. Batch-norm statistics stay those of each
micro-batch, so the result equals one worker that accumulates the same micro-batches.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from workers.training.errors import WorkerLostError


@dataclass(frozen=True)
class WorkerGroup:
    """This process's place among the workers of one training job, over torch's default process group."""

    rank: int
    size: int

    @classmethod
    def current(cls) -> "WorkerGroup":
        """The group that torch.distributed was initialised with; RuntimeError if it was not."""
        if not dist.is_initialized():
            raise RuntimeError("torch.distributed has no process group yet")
        return cls(dist.get_rank(), dist.get_world_size())

    def add_up(self, tensors: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
        """Replace each tensor by its sum over all ranks, and return the sums of the scalars, in one message.

        Every rank must pass tensors of the same shapes in the same order. WorkerLostError when one does not answer.
        """
        parts = [t.reshape(-1) for t in (*tensors, *numbers)]
        flat = torch.cat(parts)
        with _together():
            dist.all_reduce(flat)
        sums = flat.split([part.numel() for part in parts])
        for tensor, total in zip(tensors, sums, strict=False):
            tensor.copy_(total.view_as(tensor))
        return [total.reshape(()) for total in sums[len(tensors) :]]

    def from_first(self, numbers: Sequence[int], device: torch.device) -> list[int]:
        """The integers that rank 0 passed. WorkerLostError when it does not answer."""
        tensor = torch.tensor(numbers, dtype=torch.int64, device=device)
        with _together():
            dist.broadcast(tensor, src=0)
        return [int(number) for number in tensor]


@contextmanager
def _together() -> Iterator[None]:
    """What a backend raises when a peer has died is a plain RuntimeError, which does not say whose fault it is."""
    try:
        yield
    except RuntimeError as error:
        raise WorkerLostError(f"another worker of the group does not answer: {error}") from error
