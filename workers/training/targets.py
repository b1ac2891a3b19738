"""Losses, gradient weights and data routing of tasks."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from workers.training.parts import LABELS, Task


class LabelsOrTeacher:
    """Cross-entropy with labels, or with the softened logits of an earlier task of the same step.

    The teacher's term is scaled by temperature squared, which keeps its gradient's size (Hinton, arXiv:1503.02531).
    """

    def __init__(self, label_smoothing: float, temperature: float = 1.0) -> None:
        self._label_smoothing = label_smoothing
        self._temperature = temperature

    def loss(self, task: Task, logits: Tensor, labels: Tensor, earlier: Mapping[str, Tensor]) -> Tensor:
        if task.learns_from == LABELS:
            return functional.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        teacher = functional.softmax(earlier[task.learns_from] / self._temperature, dim=1)
        return functional.cross_entropy(logits / self._temperature, teacher) * self._temperature**2


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
