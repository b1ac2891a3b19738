"""Metrics of a plain network on a split, after its batch-norm statistics were computed afresh."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from nas_service.datasets.tokenizer import PAD, UNKNOWN
from search_spaces.elastic.calibrate import recalibrate
from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.resize import at_resolution
from search_spaces.network import Network
from workers.training.data import Batch, DeviceData
from workers.training.errors import InvalidMetricError
from workers.training.tokens import IGNORED

# What the values between the layers of a network may take while it is scored, as its costs count them. What a layer
# needs inside for a moment comes on top: two to four times as much in all for convolutions, up to seven for attention.
MAX_ACTIVATION_BYTES = 512 << 20


_Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Calibration:
    """How many samples of the calibrate split set the batch-norm statistics (None: all), and in which batches."""

    num_samples: _Positive | None = None
    batch_size: _Positive = 512


def for_inference(module: nn.Module) -> nn.Module:
    """The module in eval mode with weights laid out channels last: batch-norm and small convolutions are up to twice
    as fast that way on CPUs. The layout changes last bits of sums, so everything that is scored has it.
    """
    return module.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def samples_at_once(network: Network) -> int:
    """How many samples a network may see together; at least two, without which batch norms have no variance."""
    return max(2, MAX_ACTIVATION_BYTES // max(1, network.cost().peak_activation_bytes))


def as_read(batches: Iterable[Batch], network: Network) -> Iterator[Batch]:
    """Batches in the network's own resolution or length, in even parts where it cannot see them whole."""
    most = samples_at_once(network)
    for x, y in batches:
        num_parts = math.ceil(len(x) / most)
        for part, targets in zip(x.tensor_split(num_parts), y.tensor_split(num_parts), strict=True):
            yield at_resolution(part, network.input_shape), targets


def score(module: PlainNetwork, calibrate: Sequence[Batch], batches: Sequence[Batch]) -> dict[str, Any]:
    """Metrics of `module` on `batches`; its running statistics are those of `calibrate` afterwards."""
    recalibrate(module, (x for x, _ in as_read(calibrate, module.network)))
    return score_as_is(module, batches)


def score_as_is(module: PlainNetwork, batches: Sequence[Batch]) -> dict[str, Any]:
    """accuracy_top1 (0 to 1), mean cross-entropy `loss`, num_correct and num_samples.

    Classifiers have `f1_macro` too, language models `perplexity`; samples of the latter are predicted tokens.
    Raises InvalidMetricError when the loss is not finite, or when a causal language model sees the tokens it predicts.
    """
    module.eval()
    if module.network.task == "causal_lm":
        _refuse_foresight(module, at_resolution(batches[0][0][:1], module.network.input_shape))
    with torch.inference_mode():
        answers = ((module(x), y) for x, y in as_read(batches, module.network))
        return metrics_of(module.network.task, answers)


def metrics_of(task: str, answers: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Metrics of a network for `task` from its logits for each batch and what they should say."""
    tally: _Tally = _Tokens() if task.endswith("_lm") else _Classes()
    for logits, targets in answers:
        tally.add(logits.float(), targets)
    return tally.metrics()


def _refuse_foresight(module: PlainNetwork, x: Tensor) -> None:
    """Changing the last token must leave the answers at all other positions as they were."""
    other = x.clone()
    other[:, -1] = torch.where(x[:, -1] == PAD, UNKNOWN, PAD)
    with torch.inference_mode():
        before, after = module(x).float()[:, :-1], module(other).float()[:, :-1]
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-4):
        raise InvalidMetricError("a position sees later tokens: every mixing block of a causal_lm must be causal")


def score_on(module: PlainNetwork, data: DeviceData, split: str, calibration: Calibration) -> dict[str, Any]:
    """Recalibrate on the calibrate split and score on another one.

    The module takes on the memory layout in which it runs fastest, so a network still in training is passed as a copy.
    """
    for_inference(module)
    task = module.network.task
    calibrate = data.batches("calibrate", calibration.batch_size, calibration.num_samples, task)
    return score(module, calibrate, data.scored(split, task))


class _Tally(ABC):
    """Counts per batch, kept on the device until all are there: one wait for a whole split."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._correct: list[Tensor] = []
        self._counts: list[Tensor] = []

    @abstractmethod
    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits and what they should say."""

    def metrics(self) -> dict[str, Any]:
        loss_sum = sum(torch.stack(self._losses).tolist())
        if not math.isfinite(loss_sum):
            raise InvalidMetricError(f"the loss is {loss_sum}")
        num_correct, num_samples = (sum(torch.stack(part).tolist()) for part in (self._correct, self._counts))
        return {
            "accuracy_top1": num_correct / max(1, num_samples),
            "loss": loss_sum / max(1, num_samples),
            "num_correct": num_correct,
            "num_samples": num_samples,
        }


class _Classes(_Tally):
    """Logits (n, C) against labels (n,)."""

    def __init__(self) -> None:
        super().__init__()
        self._hits: Tensor | None = None  # (3, C): correct, predicted and present samples of each class

    def add(self, logits: Tensor, targets: Tensor) -> None:
        predicted = logits.argmax(dim=1)
        correct = (predicted == targets).long()
        self._correct.append(correct.sum())
        self._counts.append(torch.ones_like(targets).sum())
        self._losses.append(functional.cross_entropy(logits, targets, reduction="sum"))
        if self._hits is None:
            self._hits = torch.zeros(3, logits.shape[1], dtype=torch.long, device=logits.device)
        ones = torch.ones_like(targets)
        for row, (classes, weights) in enumerate(((targets, correct), (predicted, ones), (targets, ones))):
            self._hits[row].index_add_(0, classes, weights)

    def metrics(self) -> dict[str, Any]:
        found = super().metrics()
        assert self._hits is not None
        correct, predicted, present = self._hits.tolist()
        # F1 = 2 correct / (predicted + present); a class that neither occurs nor is predicted has none.
        scores = [2 * c / (p + q) for c, p, q in zip(correct, predicted, present, strict=True) if p + q]
        return {**found, "f1_macro": sum(scores) / len(scores)}


class _Tokens(_Tally):
    """Logits (n, L, V) against ids (n, L), of which IGNORED ones do not count."""

    def add(self, logits: Tensor, targets: Tensor) -> None:
        targets = targets[:, : logits.shape[1]]
        self._correct.append((logits.argmax(dim=2) == targets).sum())
        self._counts.append((targets != IGNORED).sum())
        flat = logits.flatten(0, 1), targets.flatten()
        self._losses.append(functional.cross_entropy(*flat, ignore_index=IGNORED, reduction="sum"))

    def metrics(self) -> dict[str, Any]:
        found = super().metrics()
        if found["loss"] > 700.0:
            raise InvalidMetricError(f"the loss is {found['loss']}: its perplexity is no number")
        return {**found, "perplexity": math.exp(found["loss"])}
