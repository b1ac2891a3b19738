"""The peers of a benchmark: methods of other libraries behind the strategies' contract, loaded when they are named.

Optuna is a dependency. pymoo and BoTorch are not: their columns are there where the library is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nas_service.errors import InvalidInput

if TYPE_CHECKING:
    from nas_service.methods.strategies.base import Problem, Strategy
    from nas_service.methods.strategies.optuna_sampler import Sampler


@dataclass(frozen=True)
class Peer:
    """``package`` is what has to be importable; ``make`` builds the strategy of one search."""

    package: str
    make: Callable[[Problem], Strategy]


def _optuna(sampler: Sampler, problem: Problem) -> Strategy:
    from nas_service.methods.strategies.optuna_sampler import Optuna, OptunaParams

    return Optuna(problem, OptunaParams.model_validate({"sampler": sampler}))


def _pymoo(problem: Problem) -> Strategy:
    from nas_service.tables.peer_pymoo import PymooNsga2

    return PymooNsga2(problem)


def _botorch(problem: Problem) -> Strategy:
    from nas_service.tables.peer_botorch import Botorch

    return Botorch(problem)


PEERS: dict[str, Peer] = {
    "optuna-tpe": Peer("optuna", partial(_optuna, "tpe")),
    "optuna-nsga2": Peer("optuna", partial(_optuna, "nsga2")),
    "optuna-gp": Peer("optuna", partial(_optuna, "gp")),
    "pymoo-nsga2": Peer("pymoo", _pymoo),
    "botorch": Peer("botorch", _botorch),
}


def require(name: str) -> None:
    """Raises InvalidInput for a peer whose library is not installed."""
    package = PEERS[name].package
    if find_spec(package) is None:
        raise InvalidInput.at(
            "--peers",
            f"'{name}' needs the library {package}, which is not installed",
            suggestion=f"pip install {package}",
        )
