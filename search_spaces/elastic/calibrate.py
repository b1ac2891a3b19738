"""Batch-norm statistics of one architecture, pooled exactly over calibration batches.

Running statistics gathered while subnets alternate belong to no subnet, so they are measured anew
before a subnet is evaluated. Means and variances are merged over batches (Chan et al. 1979), which
keeps the variance between batches that averaging per-batch variances would lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.supernet import Supernet

Norms = tuple[nn.BatchNorm2d, nn.BatchNorm2d]


class _Pool:
    """Count, mean and sum of squared deviations of a layer's inputs, each per channel, float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self.deviations: Any = 0.0

    def add(self, count: int, mean: torch.Tensor, unbiased_variance: torch.Tensor) -> None:
        mean, variance = mean.double(), unbiased_variance.double() * ((count - 1) / count)
        total = self.count + count
        delta = mean - self.mean
        self.deviations = self.deviations + variance * count + delta * delta * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    @property
    def variance(self) -> torch.Tensor:
        """Population variance."""
        result: torch.Tensor = self.deviations / self.count
        return result


@torch.no_grad()
def recalibrate(module: Supernet | PlainNetwork, batches: Iterable[torch.Tensor]) -> int:
    """Replace the batch-norm statistics of the active architecture; returns the number of batches seen.

    Other channels keep their statistics. Does nothing without batch norms or batches.
    """
    pairs = module.batch_norms()
    num_batches = 0
    if pairs:
        with measured(module, pairs):
            for batch in batches:
                module(batch)
                num_batches += 1
    return num_batches


@contextmanager
def measured(module: nn.Module, pairs: Sequence[Norms]) -> Iterator[None]:
    """Calls inside replace the statistics of these batch norms: layers that are called, layers that own them.

    Each batch passes once with batch statistics and without dropout. Afterwards every batch norm holds
    the population mean and variance over all batches; mode and momentum are as before.
    """
    pairs = list(dict.fromkeys(pairs))
    owners = list(dict.fromkeys(owner for _, owner in pairs))
    pools = {owner: _Pool() for owner in owners}
    widths = {owner: max(leaf.num_features for leaf, own in pairs if own is owner) for owner in owners}
    counters = [
        (owner.num_batches_tracked, owner.num_batches_tracked.clone())
        for owner in owners
        if owner.num_batches_tracked is not None
    ]
    momenta = {owner: owner.momentum for owner in owners}
    modes = {part: part.training for part in (*module.modules(), *owners)}

    def watch(owner: nn.BatchNorm2d) -> Any:
        def record(leaf: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            x = inputs[0]
            pools[owner].add(x.numel() // x.shape[1], leaf.running_mean, leaf.running_var)  # type: ignore[arg-type]

        return record

    hooks = [leaf.register_forward_hook(watch(owner)) for leaf, owner in pairs]
    try:
        for part, training in modes.items():
            if training != (part in pools):
                part.training = not training
        for owner in owners:
            owner.momentum = 1.0  # so that the running statistics are the last batch's own
        yield
        for owner in owners:
            pool, width = pools[owner], widths[owner]
            if pool.count and owner.running_mean is not None and owner.running_var is not None:
                owner.running_mean[:width].copy_(pool.mean)
                owner.running_var[:width].copy_(pool.variance)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            if part.training != training:
                part.training = training
        for owner in owners:
            owner.momentum = momenta[owner]
        for counter, before in counters:
            counter.copy_(before)


@contextmanager
def calibrated(module: Supernet | PlainNetwork, batches: Iterable[torch.Tensor]) -> Iterator[None]:
    """Recalibrate inside a `with` block; afterwards every statistic has its former bits again."""
    owners = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    saved = [(buffer, buffer.clone()) for owner in owners for buffer in owner.buffers()]
    try:
        recalibrate(module, batches)
        yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
