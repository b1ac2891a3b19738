"""Samplers: which architectures a step trains."""

from collections.abc import Sequence

import numpy as np

from search_spaces.space import SearchSpace
from workers.training.parts import LABELS, Task

LARGEST = "largest"


class Sandwich:
    """Largest, then random ones, then the smallest (BigNAS); only the largest is regularised."""

    def __init__(self, space: SearchSpace, num_random: int, include_smallest: bool, distill: bool) -> None:
        self._space = space
        self._num_random = num_random
        self._largest = space.largest()
        self._smallest = space.smallest() if include_smallest else None
        self._others_learn_from = LARGEST if distill else LABELS

    def plan(self, rng: np.random.Generator) -> Sequence[Task]:
        tasks = [Task(LARGEST, self._largest, regularise=True)]
        if self._num_random:
            for index, genes in enumerate(self._space.sample(self._num_random, rng)):
                tasks.append(Task(f"random{index}", genes, self._others_learn_from))
        if self._smallest is not None:
            tasks.append(Task("smallest", self._smallest, self._others_learn_from))
        return tasks


class Uniform:
    """Architectures drawn uniformly from the space, each learning from labels (SPOS)."""

    def __init__(self, space: SearchSpace, num_random: int) -> None:
        self._space = space
        self._num_random = num_random

    def plan(self, rng: np.random.Generator) -> Sequence[Task]:
        drawn = self._space.sample(self._num_random, rng)
        return [Task(f"random{index}", genes, regularise=True) for index, genes in enumerate(drawn)]


class One:
    """The same architecture in every step."""

    def __init__(self, genes: np.ndarray) -> None:
        self._tasks = (Task("only", genes, regularise=True),)

    def plan(self, rng: np.random.Generator) -> Sequence[Task]:
        return self._tasks
