"""Bindings: how an architecture becomes a module that computes it."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from search_spaces.elastic.supernet import Supernet


class SharedWeights:
    """Architectures are slices and branches of one supernet."""

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet

    @contextmanager
    def bind(self, genes: np.ndarray) -> Iterator[nn.Module]:
        with self._supernet.active(genes):
            yield self._supernet


class OneNetwork:
    """A plain network: the same module whatever the genes say."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    @contextmanager
    def bind(self, genes: np.ndarray) -> Iterator[nn.Module]:
        yield self._module
