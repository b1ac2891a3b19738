"""Bindings: how an architecture becomes a module that computes it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from search_spaces.elastic.resize import at_resolution
from search_spaces.shapes import Shape


class SharedNetwork(Protocol):
    """What a binding needs of a supernet."""

    def active(self, genes: np.ndarray) -> AbstractContextManager[Any]:
        """Make forward compute this architecture for the duration of the context."""
        ...


class SharedWeights:
    """Architectures are slices and branches of one supernet."""

    def __init__(self, supernet: SharedNetwork) -> None:
        self._supernet = supernet

    @contextmanager
    def bind(self, genes: np.ndarray) -> Iterator[nn.Module]:
        with self._supernet.active(genes):
            yield self._supernet  # type: ignore[misc]  # a supernet is a module as well


class OneNetwork:
    """A plain network: the same module whatever the genes say. Images are resized to what it reads."""

    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        self._module = _AtResolution(module, input_shape)

    @contextmanager
    def bind(self, genes: np.ndarray) -> Iterator[nn.Module]:
        yield self._module


class _AtResolution(nn.Module):
    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        super().__init__()
        self.module = module
        self._input_shape = input_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.module(at_resolution(x, self._input_shape))
