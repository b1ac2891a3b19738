"""A very small elastic network on 8x8 digits, for tests of the loop by itself."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest import ingest_digits
from nas_service.methods.recipes.registry import parse_recipe
from search_spaces.shapes import ImageShape
from workers.context import WorkContext
from workers.recipes.registry import NETWORK_BUILDERS, SUPERNET_BUILDERS
from workers.training.bindings import OneNetwork, SharedWeights
from workers.training.data import DeviceData
from workers.training.loop import Trainer
from workers.training.series import CheckpointSeries, config_sha256

WIDTHS = (4, 8, 16)


class TinySpace:
    """Two genes: the widths of two hidden layers."""

    genes = (SimpleNamespace(name="a"), SimpleNamespace(name="b"))

    def largest(self) -> np.ndarray:
        return np.array([2, 2], dtype=np.int16)

    def smallest(self) -> np.ndarray:
        return np.array([0, 0], dtype=np.int16)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, len(WIDTHS), size=(n, 2)).astype(np.int16)


class TinySupernet(nn.Module):
    """64 -> width a -> width b -> 10, with batch-norm and dropout; narrower nets use prefixes."""

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Linear(64, WIDTHS[-1], bias=False)
            self.first_norm = nn.BatchNorm1d(WIDTHS[-1])
            self.second = nn.Linear(WIDTHS[-1], WIDTHS[-1], bias=False)
            self.second_norm = nn.BatchNorm1d(WIDTHS[-1])
            self.last = nn.Linear(WIDTHS[-1], 10)
        self.dropout = nn.Dropout(dropout)
        self._genes = np.array([2, 2], dtype=np.int16)

    @contextmanager
    def active(self, genes: np.ndarray) -> Iterator[None]:
        before, self._genes = self._genes, genes
        try:
            yield
        finally:
            self._genes = before

    def _norm(self, norm: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        mean, var = norm.running_mean[:n], norm.running_var[:n]
        return functional.batch_norm(x, mean, var, norm.weight[:n], norm.bias[:n], self.training, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = (WIDTHS[int(gene)] for gene in self._genes)
        x = self._norm(self.first_norm, functional.linear(x.flatten(1), self.first.weight[:a])).relu()
        x = self._norm(self.second_norm, functional.linear(x, self.second.weight[:b, :a])).relu()
        return functional.linear(self.dropout(x), self.last.weight[:, :b], self.last.bias)


@lru_cache(maxsize=1)
def digits() -> Dataset:
    """The built-in digits in standard form."""
    return build_dataset("digits", ingest_digits())


def tiny_trainer(
    directory: Path,
    recipe: dict,
    *,
    net: nn.Module | None = None,
    seed: int = 0,
    epoch: int = 1,
    context: WorkContext | None = None,
    group=None,
) -> Trainer:
    """A trainer of the tiny supernet (or of its largest net alone) whose checkpoints lie in `directory`."""
    name, params = parse_recipe(recipe)
    net = TinySupernet(seed) if net is None else net
    space = TinySpace()
    num_steps = params.total_steps(1000)
    if name in SUPERNET_BUILDERS:
        parts, binding = SUPERNET_BUILDERS[name](params, space, num_steps), SharedWeights(net)
    else:
        parts, binding = (
            NETWORK_BUILDERS[name](params, space.largest(), num_steps),
            OneNetwork(net, ImageShape(1, 8, 8)),
        )
    context = context or WorkContext(artifacts=directory)
    torch.set_num_threads(1)
    return Trainer(
        net=net,
        binding=binding,
        recipe=parts,
        params=params,
        data=DeviceData(digits(), torch.device("cpu")),
        seed=seed,
        series=CheckpointSeries(directory, "tiny", epoch, config_sha256({"recipe": recipe, "seed": seed})),
        context=context,
        curve_points=lambda: [{"subnet": "largest", "split": "search", "weight": float(net.last.bias.detach()[0])}],
        group=group,
    )


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters and buffers."""
    return copy.deepcopy(net.state_dict())


def assert_same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    """Every tensor is equal, bit for bit."""
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name
