"""The parts a training recipe is made of. A method is a choice for each part; the loop knows only these interfaces."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor, nn

LABELS = "labels"


@dataclass(frozen=True)
class Task:
    """One forward and backward pass of a step.

    `genes` (G,) is the architecture; `learns_from` is LABELS or the name of an earlier task of the step, whose
    detached logits are the target; `regularise` switches dropout on.
    """

    name: str
    genes: np.ndarray
    learns_from: str = LABELS
    weight: float = 1.0
    regularise: bool = False


class Binding(Protocol):
    """How an architecture touches the tensors: slices of shared weights, or one fixed network."""

    def bind(self, genes: np.ndarray) -> AbstractContextManager[nn.Module]:
        """The module that computes this architecture, for the duration of the context."""
        ...


class Sampler(Protocol):
    """Which tasks make up a step; must depend on nothing but its arguments, so that all workers agree."""

    def plan(self, rng: np.random.Generator) -> Sequence[Task]: ...


class Routing(Protocol):
    """Which rows of a micro-batch a task sees."""

    def rows(self, task: int, num_tasks: int, num_rows: int) -> slice: ...


class Target(Protocol):
    """The loss of a task: mean over the rows, given labels (n,) and the logits (n, classes) of earlier tasks.

    Of language models: mean over the targets among labels (n, L), with logits (n, L, vocabulary).
    """

    def loss(self, task: Task, logits: Tensor, labels: Tensor, earlier: Mapping[str, Tensor]) -> Tensor: ...


class Combine(Protocol):
    """The factor of each task's gradient before all are added."""

    def weight(self, task: Task, num_tasks: int) -> float: ...


def nothing(_: nn.Module) -> None:
    """What happens at the border of a phase that changes nothing."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own sampler; `on_enter` may change the network at its border."""

    num_steps: int
    sampler: Sampler
    on_enter: Callable[[nn.Module], None] = field(default=nothing)


@dataclass(frozen=True)
class Recipe:
    """A training method: one choice for each part. Optimiser and calibration come from the parameters."""

    phases: tuple[Phase, ...]
    routing: Routing
    target: Target
    combine: Combine

    @property
    def num_steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.num_steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """The phase that step belongs to, and the step's position in it."""
        for phase in self.phases:
            if step < phase.num_steps:
                return phase, step
            step -= phase.num_steps
        raise IndexError("the step is after the last phase")
