"""Hashes of many architectures of one space: the canonical JSON put together from ready-made parts."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from search_spaces.space import SearchSpace


class ArchitectureHasher:
    """Gives ``space.architecture(genes).hash`` for valid genes at a fraction of the time, which tables need."""

    def __init__(self, space: SearchSpace) -> None:
        order = sorted(range(len(space.genes)), key=lambda i: space.genes[i].name)
        self._start = space.id
        self._order = order
        self._parts = [
            [
                f"{json.dumps(space.genes[i].name)}:{json.dumps(option, allow_nan=False)}"
                for option in space.genes[i].options
            ]
            for i in order
        ]

    def __call__(self, genes: np.ndarray) -> str:
        """The hash of valid genes (G,)."""
        row = genes.tolist()
        active = [parts[row[i]] for i, parts in zip(self._order, self._parts, strict=True) if row[i] >= 0]
        text = f"{self._start}{{{','.join(active)}}}"
        return "arc_" + hashlib.sha256(text.encode()).hexdigest()[:32]
