"""Architectures as models see them: option codes by column, which columns share their options, numeric features.

Genes with the same options (the edges of a cell, the kernels of many layers) are one group: what a model learns of an
option at one place it may use at the others. Where the space has dead choices
(``search_spaces.views.influence``) and can be enumerated, every gene has a second column without them, and the shape of
what is left adds features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.methods.strategies.base import Genes, key_of
from nas_service.methods.strategies.candidates import ENUMERATION_LIMIT
from search_spaces.space import SearchSpace
from search_spaces.views.influence import has_zeros, influence

Floats = NDArray[np.float64]
_MOST_COUNTED_OPTIONS = 12
_REFERENCE_SAMPLES = 512
_KEPT_STRUCTURES = 4


@dataclass(frozen=True)
class Columns:
    """``groups`` (C,): the group of each column; ``sizes``, ``ordered``: options of each group.

    ``parts`` are sets of columns over which an option may have one effect in common. ``num_features`` follow them.
    """

    groups: tuple[int, ...]
    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]
    parts: tuple[tuple[int, ...], ...]
    num_features: int


@dataclass(frozen=True)
class Encoded:
    """``codes`` (n, C), -1 for inactive or without influence; ``features`` (n, F), standardised."""

    codes: NDArray[np.int64]
    features: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Encoded:
        return Encoded(self.codes[rows], self.features[rows])

    def joined(self, other: Encoded) -> Encoded:
        """These rows, then the other's."""
        return Encoded(np.concatenate((self.codes, other.codes)), np.concatenate((self.features, other.features)))


class Encoder:
    """Genes (n, G) of one space to ``Encoded``."""

    def __init__(self, space: SearchSpace) -> None:
        kinds: dict[Any, int] = {}
        genes = [kinds.setdefault((gene.options, gene.ordered), len(kinds)) for gene in space.genes]
        sizes = tuple(len(options) for options, _ in kinds)
        self._structure = _structure(space)
        together = [tuple(i for i, group in enumerate(genes) if group == kind) for kind in range(len(kinds))]
        together = [part for part in together if len(part) > 1]
        self._counted = [(part, sizes[genes[part[0]]]) for part in together]
        self._counted = [(part, size) for part, size in self._counted if size <= _MOST_COUNTED_OPTIONS]
        groups, parts = genes, together
        if self._structure is not None:
            groups = genes + genes
            parts = together + [tuple(i + len(genes) for i in part) for part in together]
        self._centre, self._scale = np.zeros(1), np.ones(1)
        reference = self._raw(space.sample(_REFERENCE_SAMPLES, np.random.default_rng(0)))[1]
        self._centre, self._scale = reference.mean(axis=0), reference.std(axis=0)
        varied = self._scale > 0
        self._kept = np.flatnonzero(varied)
        ordered = tuple(flag for _, flag in kinds)
        self.columns = Columns(tuple(groups), sizes, ordered, tuple(parts), len(self._kept))

    def __call__(self, genes: Genes) -> Encoded:
        codes, features = self._raw(genes)
        features = (features[:, self._kept] - self._centre[self._kept]) / self._scale[self._kept]
        return Encoded(codes, features)

    def _raw(self, genes: Genes) -> tuple[NDArray[np.int64], Floats]:
        codes = genes.astype(np.int64)
        counted, extra = codes, np.zeros((len(genes), 0))
        if self._structure is not None:
            rows, live, extra = self._structure
            at = [rows[key_of(row)] for row in genes]
            counted, extra = live[at].astype(np.int64), extra[at]
            codes = np.concatenate((codes, counted), axis=1)
        counts = [
            (counted[:, list(part)] == option).sum(axis=1) for part, size in self._counted for option in range(size)
        ]
        return codes, np.column_stack([*counts, extra]) if counts else extra


Structure = tuple[dict[bytes, int], Genes, Floats]
_structures: dict[str, Structure | None] = {}  # by the id of the space, which is its content


def _structure(space: SearchSpace) -> Structure | None:
    """Row of each architecture by its key, live genes, shape features; None where there is nothing to gain."""
    if not isinstance(space, SearchSpace) or space.cardinality > ENUMERATION_LIMIT:
        return None
    if space.id not in _structures:
        while len(_structures) >= _KEPT_STRUCTURES:
            _structures.pop(next(iter(_structures)))
        _structures[space.id] = _find_structure(space) if has_zeros(space) else None
    return _structures[space.id]


def _find_structure(space: SearchSpace) -> Structure:
    everything = space.enumerate(limit=ENUMERATION_LIMIT)
    found = influence(space, everything)
    return {key_of(row): i for i, row in enumerate(everything)}, found.live, found.shape
