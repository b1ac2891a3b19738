"""Losses, gradient weights and data routing of tasks."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from workers.training.parts import LABELS, Task
from workers.training.tokens import IGNORED


class LabelsOrTeacher:
    """Cross-entropy with labels, or with the softened logits of an earlier task of the same step.

    The teacher's term is scaled by temperature squared, which keeps its gradient's size (Hinton, arXiv:1503.02531).
    Language models (logits (n, L, V)) learn at the tokens that have a target, from labels and teachers alike.
    """

    def __init__(self, label_smoothing: float, temperature: float = 1.0) -> None:
        self._label_smoothing = label_smoothing
        self._temperature = temperature

    def loss(self, task: Task, logits: Tensor, labels: Tensor, earlier: Mapping[str, Tensor]) -> Tensor:
        if logits.ndim == 3:
            return self._loss_of_tokens(task, logits, labels[:, : logits.shape[1]], earlier)
        if task.learns_from == LABELS:
            return functional.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        teacher = functional.softmax(earlier[task.learns_from] / self._temperature, dim=1)
        return functional.cross_entropy(logits / self._temperature, teacher) * self._temperature**2

    def _loss_of_tokens(self, task: Task, logits: Tensor, labels: Tensor, earlier: Mapping[str, Tensor]) -> Tensor:
        counts = labels != IGNORED
        # A part of a batch may have no target at all; indexing with `counts` would wait for the device.
        num_targets = counts.sum().clamp(min=1)
        if task.learns_from == LABELS:
            total = functional.cross_entropy(
                logits.flatten(0, 1),
                labels.flatten(),
                ignore_index=IGNORED,
                label_smoothing=self._label_smoothing,
                reduction="sum",
            )
            return total / num_targets
        teacher = functional.softmax(earlier[task.learns_from][:, : logits.shape[1]] / self._temperature, dim=2)
        losses = functional.cross_entropy(
            (logits / self._temperature).flatten(0, 1), teacher.flatten(0, 1), reduction="none"
        )
        return (losses * counts.flatten()).sum() / num_targets * self._temperature**2


class Sum:
    """Gradients of the tasks are added, the convention of nearly all supernet code."""

    def weight(self, task: Task, num_tasks: int) -> float:
        return task.weight


class Mean:
    """Gradients of the tasks are averaged."""

    def weight(self, task: Task, num_tasks: int) -> float:
        return task.weight / num_tasks


COMBINES: dict[str, Sum | Mean] = {"sum": Sum(), "mean": Mean()}


class SameBatch:
    """Every task sees the whole micro-batch."""

    def rows(self, task: int, num_tasks: int, num_rows: int) -> slice:
        return slice(0, num_rows)
