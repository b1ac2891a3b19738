"""Strategies that begin with random architectures and then draw on what was told: the shape most of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from nas_service.methods.strategies.base import Exhausted, Genes, Proposal, Wait
from nas_service.methods.strategies.proposing import ProposingStrategy


class StartingStrategy(ProposingStrategy):
    """Random until ``num_starts`` asks are made and ``ready``; then ``propose``, and random where that finds nothing.

    Asked trials are counted, not told ones: with several workers the initial phase does not grow.
    """

    num_starts: int

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether enough has been told to propose from it; all trials may have failed so far."""

    @abstractmethod
    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        """The architecture for trial ``number``; None when nothing new was found."""

    def start(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        """One architecture of the initial phase."""
        return self.propose_random(number, pending, {"kind": "initial"})

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if number < self.num_starts or not self.ready:
            return self.start(number, pending)
        proposal = self.propose(number, pending)
        return self.propose_random(number, pending, {"kind": "random"}) if proposal is None else proposal
