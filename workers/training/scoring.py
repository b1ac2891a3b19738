"""Accuracy and loss of a plain network on a split, after its batch-norm statistics were computed afresh."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.elastic.calibrate import recalibrate
from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.resize import at_resolution
from workers.training.data import DeviceData
from workers.training.errors import InvalidMetricError


@dataclass(frozen=True)
class Calibration:
    """How many images of the calibrate split set the batch-norm statistics (None: all), and in which batches."""

    num_samples: int | None = None
    batch_size: int = 512


# Batches of a split when it is scored. Fixed, because sums of floats depend on it.
SCORE_BATCH_SIZE = 1024


def for_inference(module: nn.Module) -> nn.Module:
    """The module in eval mode with weights laid out channels last: batch-norm and small convolutions are up to twice
    as fast that way on CPUs. The layout changes last bits of sums, so everything that is scored has it.
    """
    return module.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def score(
    module: PlainNetwork, calibrate: Sequence[tuple[Tensor, Tensor]], batches: Sequence[tuple[Tensor, Tensor]]
) -> dict[str, Any]:
    """Metrics of `module` on `batches`; its running statistics are those of `calibrate` afterwards."""
    recalibrate(module, [at_resolution(x, module.network.input_shape) for x, _ in calibrate])
    return score_as_is(module, batches)


def score_as_is(module: PlainNetwork, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """accuracy_top1 (0 to 1), mean cross-entropy `loss`, num_correct and num_samples.

    Raises InvalidMetricError when the loss is not finite.
    """
    module.eval()
    num_correct = num_samples = 0
    loss_sum = 0.0
    with torch.inference_mode():
        for x, y in batches:
            logits = module(at_resolution(x, module.network.input_shape)).float()
            num_correct += int((logits.argmax(dim=1) == y).sum())
            num_samples += len(y)
            loss_sum += float(functional.cross_entropy(logits, y, reduction="sum"))
    if not math.isfinite(loss_sum):
        raise InvalidMetricError(f"the loss is {loss_sum}")
    return {
        "accuracy_top1": num_correct / num_samples,
        "loss": loss_sum / num_samples,
        "num_correct": num_correct,
        "num_samples": num_samples,
    }


def score_on(module: PlainNetwork, data: DeviceData, split: str, calibration: Calibration) -> dict[str, Any]:
    """Recalibrate on the calibrate split and score on another one.

    The module takes on the memory layout in which it runs fastest, so a network still in training is passed as a copy.
    """
    for_inference(module)
    calibrate = data.batches("calibrate", calibration.batch_size, calibration.num_samples)
    return score(module, calibrate, data.batches(split, SCORE_BATCH_SIZE))
