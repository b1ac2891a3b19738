"""The contract between a search and the strategy that steers it: what is asked, what is told, what is remembered.

A strategy thinks and does nothing else: no I/O, no clock. ``ask(k)`` is a function of the problem, the parameters, the
trial number and what has been told so far, so a seed fixes the whole sequence whatever the speed and the crashes. For
that, all that a strategy knows about the past it derives in ``tell``; ``restore`` replays the history through ``tell``
and then puts back the little that asking alone has changed (counters, expensive fits).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

Genes = NDArray[np.int16]
Status = Literal["succeeded", "infeasible", "failed"]


@dataclass(frozen=True)
class Problem:
    """What is to be searched. Objectives are minimised; the directions were flipped before.

    ``feasible`` maps genes (n, G) to (n,) and knows every constraint that needs no evaluation. ``bounds`` are the cost
    bounds in the form ``SearchSpace.sample_feasible`` takes. ``costs`` maps genes (n, G) to named values (n,);
    ``known[i]`` says that ``costs(genes)[objective_names[i]]`` is objective i, in the minimised direction.
    ``budget`` is the number of trials the search may spend, where it is known. ``fidelities`` are the shares of the
    full evaluation that can be asked for, ascending, the last one 1. ``earlier`` are results of other searches of the
    same space in these objectives, for ``warm_start``. ``members`` (N, G) are the only architectures that can be
    evaluated, where they are a small part of the space; None: all of it.
    """

    space: SearchSpace
    num_objectives: int
    seed: int
    feasible: Callable[[Genes], NDArray[np.bool_]]
    bounds: dict[str, tuple[float | None, float | None]]
    costs: Callable[[Genes], dict[str, NDArray[Any]]]
    objective_names: tuple[str, ...]
    known: tuple[bool, ...]
    budget: int | None = None
    fidelities: tuple[float, ...] = (1.0,)
    earlier: tuple[Evaluation, ...] = ()
    members: Genes | None = None


@dataclass(frozen=True)
class Proposal:
    """One architecture to evaluate, genes (G,), at one of the problem's fidelities.

    ``token`` is small JSON that comes back when the trial is told.
    """

    genes: Genes
    token: dict[str, Any] = field(default_factory=dict)
    fidelity: float = 1.0


@dataclass(frozen=True)
class Wait:
    """Nothing can be proposed before more trials are told."""

    reason: str


@dataclass(frozen=True)
class Exhausted:
    """Nothing is left to propose, now and later: the end of a search before its budget."""

    reason: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of trial ``number``. ``objectives`` are minimised, and None unless the status is succeeded."""

    number: int
    genes: Genes
    objectives: tuple[float, ...] | None
    status: Status
    token: dict[str, Any] = field(default_factory=dict)
    fidelity: float = 1.0


class StrategyParams(BaseModel):
    """Base of all parameter models: unknown names and NaN are refused, every field carries help."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Strategy(ABC):
    """Proposes architectures. One object serves one search; it is told trials in the order of their numbers."""

    name: ClassVar[str]
    help: ClassVar[str]
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        self.problem = problem
        self.params: Any = self.Params() if params is None else params
        self.history: list[Evaluation] = []
        self.seen: set[bytes] = set()

    @abstractmethod
    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        """The architecture for trial ``number``; ``pending`` are the asked and not yet told ones, genes (G,) each."""

    def tell(self, evaluation: Evaluation) -> None:
        """Take in one finished trial. Raises ``ValueError`` unless its objectives are finite numbers, one per axis."""
        if evaluation.status == "succeeded":
            values, expected = evaluation.objectives, self.problem.num_objectives
            if values is None or len(values) != expected or not np.isfinite(values).all():
                raise ValueError(f"trial {evaluation.number}: objectives must be {expected} finite numbers")
        self.history.append(evaluation)
        self.seen.add(key_of(evaluation.genes))
        self.learn(evaluation)

    def learn(self, evaluation: Evaluation) -> None:
        """Update what the next asks need; called by ``tell`` once the history holds the evaluation."""
        return

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> NDArray[np.float64] | None:
        """How promising each of ``genes`` (n, G) is as trial ``number``, (n,), larger is better.

        None where the strategy cannot tell, or not yet. Lets a ``flow`` filter what another strategy proposes.
        """
        return None

    @property
    def num_rejected(self) -> int:
        """Candidates that broke a constraint and were dropped before any evaluation."""
        return 0

    def state(self) -> dict[str, Any]:
        """JSON of what the history alone does not give back."""
        return {}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        """Bring a new object to where ``state`` was taken; ``history`` are the evaluations told until then."""
        for evaluation in history:
            self.tell(evaluation)


def key_of(genes: Genes) -> bytes:
    """What identifies a canonical gene vector (G,) within one space."""
    return np.ascontiguousarray(genes, dtype=np.int16).tobytes()


def generator(seed: int, number: int, stream: int = 0) -> np.random.Generator:
    """The random numbers of trial ``number``: counter-based, so no draw depends on how many came before."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(number, stream))
    return np.random.Generator(np.random.Philox(sequence))
