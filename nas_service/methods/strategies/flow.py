"""Strategies composed as data: one after the other, and one filtering what another generates.

After the search flows of PyGlove (Peng et al. 2020), where they are code. Every part is told every result, whoever
proposed it, so a switch loses nothing. When to switch follows from the told results alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nas_service.methods.strategies.archive import Archive
from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Genes,
    Problem,
    Proposal,
    Strategy,
    StrategyParams,
    Wait,
)
from nas_service.methods.strategies.nested import ComposedStrategy, Nested, known_strategies


class Filter(BaseModel):
    """The most promising of several candidates is evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Nested = Field(description="The strategy that scores; it must be one that can, such as surrogate.")
    candidates: int = Field(16, ge=2, le=256, description="Architectures generated for each that is evaluated.")

    @field_validator("strategy")
    @classmethod
    def _scores(cls, strategy: Nested) -> Nested:
        able = sorted(name for name, kind in known_strategies().items() if kind.score is not Strategy.score)
        if strategy.name not in able:
            raise ValueError(f"{strategy.name} cannot score candidates; allowed: {', '.join(able)}")
        return strategy


class Step(BaseModel):
    """One strategy and how long it leads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Nested = Field(description="The strategy that proposes.")
    filter: Filter | None = Field(None, description="Another strategy that chooses among its proposals.")
    trials: int | None = Field(None, ge=1, description="Results after which the next step begins.")
    stalled: int | None = Field(
        None, ge=1, description="The next step begins after so many results in a row without a new front point."
    )


class FlowParams(StrategyParams):
    """Parameters of ``flow``."""

    steps: tuple[Step, ...] = Field(description="The steps in order, at least one.", max_length=8)
    repeat: bool = Field(False, description="After the last step begin again with the first.")

    @model_validator(mode="after")
    def _steps_end(self) -> FlowParams:
        if not self.steps:
            raise ValueError("a flow has at least one step")
        led = self.steps if self.repeat else self.steps[:-1]
        for i, step in enumerate(led):
            if step.trials is None and step.stalled is None:
                raise ValueError(f"step {i + 1} never ends: give trials or stalled")
        return self


class Flow(ComposedStrategy):
    """The current step proposes; a step whose strategy is exhausted is passed over."""

    name = "flow"
    help = "Several strategies as one: in turns, switching when the front stalls, one filtering another's proposals."
    Params = FlowParams

    def __init__(self, problem: Problem, params: StrategyParams) -> None:
        super().__init__(problem, params)
        for i, step in enumerate(self.params.steps):
            self.parts[f"{i}"] = step.strategy.build(problem)
            if step.filter is not None:
                self.parts[f"{i}-filter"] = step.filter.strategy.build(problem)
        self._archive = Archive(problem.num_objectives)
        self._step = 0
        self._told = self._stalled = 0  # results of this step; results since the last new front point

    def learn(self, evaluation: Evaluation) -> None:
        own = evaluation.token.get("own", {})
        for name, part in self.parts.items():
            # A token is what its own strategy wrote; the others must not read it.
            mine = name == evaluation.token.get("part")
            part.tell(replace(evaluation, token=own if mine else {}))
        self._told += 1
        self._stalled += 1
        if evaluation.status == "succeeded":
            self._archive.add(evaluation)
            if self._archive.front[-1] == len(self._archive) - 1:
                self._stalled = 0
        step = self.params.steps[self._step]
        over = step.trials is not None and self._told >= step.trials
        over |= step.stalled is not None and self._stalled >= step.stalled
        if over and (self.params.repeat or self._step + 1 < len(self.params.steps)):
            self._step = (self._step + 1) % len(self.params.steps)
            self._told = self._stalled = 0

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        answer: Proposal | Wait | Exhausted = Exhausted("no step is left")
        for turn in range(len(self.params.steps)):
            answer = self._ask_step((self._step + turn) % len(self.params.steps), number, pending)
            if not isinstance(answer, Exhausted):
                break
        return answer

    def _ask_step(self, step: int, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        part, rule = self.parts[f"{step}"], self.params.steps[step].filter
        answer = part.ask(number, pending)
        if not isinstance(answer, Proposal):
            return answer
        if rule is not None:
            answer = self._best_of(step, rule.candidates, answer, number, pending)
        token: dict[str, Any] = {"part": f"{step}", "own": answer.token}
        return Proposal(answer.genes, token, answer.fidelity)

    def _best_of(self, step: int, count: int, first: Proposal, number: int, pending: Sequence[Genes]) -> Proposal:
        """The best of ``count`` proposals by the filter's score; the first while the filter has no opinion."""
        judge = self.parts[f"{step}-filter"]
        if judge.score(first.genes[None], number, pending) is None:
            return first
        drawn = [first]
        while len(drawn) < count:
            more = self.parts[f"{step}"].ask(number, [*pending, *(proposal.genes for proposal in drawn)])
            if not isinstance(more, Proposal):
                break
            drawn.append(more)
        scores = judge.score(np.stack([proposal.genes for proposal in drawn]), number, pending)
        return first if scores is None else drawn[int(np.argmax(scores))]
