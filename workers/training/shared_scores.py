"""Scores of many architectures with the weights of one supernet: what they have in common is computed once."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.elastic.calibrate import Norms, measured
from search_spaces.elastic.elastic_block import ElasticBlock, Skeleton
from search_spaces.elastic.padding import real_tokens
from search_spaces.elastic.resize import at_resolution
from search_spaces.elastic.supernet import Active, Supernet
from workers.training.data import Batches, DeviceData
from workers.training.scoring import MAX_ACTIVATION_BYTES, Calibration, for_inference, metrics_of, score_on

# What is kept for the next architectures: outputs of layers, and as much of layers ready to be called.
MAX_KEPT_BYTES = 128 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class _Values:
    """Inputs of the network or outputs of a layer for every calibration and scored batch; the key tells which."""

    key: bytes
    calibrate: Sequence[Tensor]
    scored: Sequence[Tensor]


@dataclass(frozen=True)
class _Layer:
    """A node's module with the supernet's weights, and its batch norms as `measured` takes them."""

    module: nn.Module
    norms: Sequence[Norms]


class SharedScores:
    """Scores architectures layer by layer; a layer that sees the same inputs in two of them runs once.

    Layers, batches and statistics are those of `score_on` with the extracted network, and so are the bits of a score,
    whatever was scored before. The supernet's weights must not change.
    """

    def __init__(self, supernet: Supernet, data: DeviceData) -> None:
        self._supernet, self._data = supernet, data
        self.forget()

    def forget(self) -> None:
        """Give back the memory of everything kept."""
        self._outputs: _Kept[_Values] = _Kept(MAX_KEPT_BYTES)
        self._layers: _Kept[_Layer] = _Kept(MAX_KEPT_BYTES)

    @torch.no_grad()
    def score(self, genes: np.ndarray, split: str, calibration: Calibration) -> dict[str, Any]:
        """Metrics of the architecture with genes (G,), as of `score_on`; raises what that raises."""
        plan = self._supernet.plan(genes)
        if not self._shares(plan, split, calibration):
            return score_on(self._supernet.extract(genes), self._data, split, calibration)
        task = plan.network.task
        norms = any(skeleton.norms for _, skeleton, _, _ in plan.steps)
        calibrate = self._data.batches("calibrate", calibration.batch_size, calibration.num_samples, task)
        scored = self._data.scored(split, task)
        logits = self._logits(plan, split, calibrate if norms else (), scored)
        return metrics_of(task, zip(logits, (y for _, y in scored), strict=True))

    def _shares(self, plan: Active, split: str, calibration: Calibration) -> bool:
        """Whether all samples fit in memory layer by layer, and each layer depends on nothing but what is before it."""
        normed = [skeleton for _, skeleton, _, _ in plan.steps if skeleton.norms]
        if plan.network.task == "causal_lm" or len(set(normed)) < len(normed):
            return False  # one looks at the whole network, the other's statistics are those of several calls
        num_calibrate, num_scored = (len(self._data.dataset.indices(name)) for name in ("calibrate", split))
        num_samples = min(num_calibrate, calibration.num_samples or num_calibrate) + num_scored
        return num_samples * plan.network.cost().peak_activation_bytes <= MAX_ACTIVATION_BYTES

    def _logits(self, plan: Active, split: str, calibrate: Batches, scored: Batches) -> Sequence[Tensor]:
        """Answers to the scored batches."""
        shape = plan.network.input_shape
        inputs = [[at_resolution(x, shape) for x, _ in batches] for batches in (calibrate, scored)]
        sizes = [[x.shape[0] for x in part] for part in inputs]
        values = {0: _Values(_key(split, shape, *sizes), *inputs)}
        for mask in plan.masks:
            real = [[real_tokens(x)[:, ::-mask] for x in part] for part in inputs]
            values[mask] = _Values(_key("real", mask, values[0].key), *real)
        for number, (block, skeleton, sources, finished) in enumerate(plan.steps):
            values[number + 1] = self._output(block, skeleton, [values[source] for source in sources])
            for source in finished:
                del values[source]
        return values[len(plan.steps)].scored

    def _output(self, block: ElasticBlock, skeleton: Skeleton, inputs: Sequence[_Values]) -> _Values:
        key = _key(skeleton.number, *[value.key for value in inputs])
        found = self._outputs.get(key)
        if found is None:
            layer = self._layer(block, skeleton)
            calibrate = []
            if inputs[0].calibrate:
                with measured(layer.module, layer.norms) if layer.norms else nullcontext():
                    calibrate = [layer.module(*xs) for xs in zip(*(value.calibrate for value in inputs), strict=True)]
            scored = [layer.module(*xs) for xs in zip(*(value.scored for value in inputs), strict=True)]
            found = _Values(key, calibrate, scored)
            self._outputs.put(key, found, (*calibrate, *scored))
        return found

    def _layer(self, block: ElasticBlock, skeleton: Skeleton) -> _Layer:
        found = self._layers.get(skeleton)
        if found is None:
            module = for_inference(block.extracted(skeleton))
            found = _Layer(module, [(part, part) for part in module.modules() if isinstance(part, nn.BatchNorm2d)])
            self._layers.put(skeleton, found, module.state_dict().values())
        return found


class _Kept(Generic[T]):
    """Values by key; those not asked for longest go when their tensors take too many bytes together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: Hashable, value: T, tensors: Iterable[Tensor]) -> None:
        num_bytes = sum(tensor.nbytes for tensor in tensors)
        self._values[key] = value, num_bytes
        self._num_bytes += num_bytes
        while self._num_bytes > self._max_bytes:
            self._num_bytes -= self._values.popitem(last=False)[1][1]


def _key(*parts: Any) -> bytes:
    """A short name of the parts, another one for others."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()
