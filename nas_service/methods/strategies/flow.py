"""Strategies composed as data: one after the other, one filtering what another generates, each owning some choices.

After the search flows of PyGlove (Peng et al. 2020), where they are code. Every part is told every result, whoever
proposed it, so a switch loses nothing. When to switch follows from the told results alone. With ``choices`` a step
searches a part of the space and holds the rest: its flows are

- separate: a step for some choices, then one for the others (``hold: best``, fixed when a step begins);
- factorised: the first step's other choices are random (``hold: random``), then a step for them at the best;
- nested: ``repeat``, an outer step of one trial, an inner one of several at what the outer proposed (``hold: latest``).

Where all that the steps may change is told, the current one searches the whole space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nas_service.methods.strategies.archive import Archive, unit_scaled
from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Genes,
    Problem,
    Proposal,
    Strategy,
    StrategyParams,
    Wait,
    generator,
    key_of,
)
from nas_service.methods.strategies.held_space import HeldSpace, owned_choices
from nas_service.methods.strategies.nested import ComposedStrategy, Nested, known_strategies
from search_spaces.space import SearchSpace

_TRIES = 4
_STREAM = 7


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
    choices: tuple[str, ...] = Field(
        (), max_length=100, description="Names of the choices it searches, with * for any part; left out: all."
    )
    hold: Literal["best", "latest", "random"] = Field(
        "best", description="The other choices: of the best or the latest result as the step begins, or random."
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
    help = (
        "Several strategies as one: in turns, switching when the front stalls, one filtering another's proposals, each "
        "searching its own choices."
    )
    Params = FlowParams

    def __init__(self, problem: Problem, params: StrategyParams) -> None:
        """Raises ValueError for choices that the space does not have."""
        super().__init__(problem, params)
        self._views: dict[int, HeldSpace] = {}
        for i, step in enumerate(self.params.steps):
            own = problem
            if step.choices:
                self._views[i] = HeldSpace(problem.space, owned_choices(problem.space, step.choices))
                own = replace(problem, space=cast(SearchSpace, self._views[i]))
            self.parts[f"{i}"] = step.strategy.build(own)
            if step.filter is not None:
                self.parts[f"{i}-filter"] = step.filter.strategy.build(problem)
        self._archive = Archive(problem.num_objectives)
        self._step = 0
        self._told = self._stalled = 0  # results of this step; results since the last new front point
        self._best: tuple[int, Genes] = (0, np.zeros(0, dtype=np.int16))  # of so many successes
        self._began: tuple[int, int] = (0, 0)  # successes, and results, that were told when this step began

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
            self._began = (len(self._archive), len(self.history))

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        steps = [(self._step + turn) % len(self.params.steps) for turn in range(len(self.params.steps))]
        for step in steps:
            if step in self._views:
                self._views[step].held = self._held(step, number)
            answer = self._ask_step(step, number, pending)
            if not isinstance(answer, Exhausted):
                return answer
        for step in steps:
            if step in self._views:
                self._views[step].held = None
                answer = self._ask_step(step, number, pending)
                if not isinstance(answer, Exhausted):
                    return answer
        return answer

    def _held(self, step: int, number: int) -> Genes:
        """The architecture (G,) whose choices a step leaves alone in trial ``number``."""
        good, told = self._began
        hold = self.params.steps[step].hold
        if hold == "latest" and told:
            return self.history[told - 1].genes
        if hold == "best" and good:
            if good != self._best[0]:
                scaled = unit_scaled(self._archive.objectives[:good])
                # With several objectives the one nearest to the best of each.
                self._best = (good, self._archive.good[int(np.argmin((scaled**2).sum(axis=1)))].genes)
            return self._best[1]
        drawn = number if hold == "random" else 0
        return self.problem.space.sample(1, generator(self.problem.seed, drawn, _STREAM))[0]

    def _ask_step(self, step: int, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        rule = self.params.steps[step].filter
        answer = self._ask_part(step, number, pending)
        if not isinstance(answer, Proposal):
            return answer
        if rule is not None:
            answer = self._best_of(step, rule.candidates, answer, number, pending)
        token: dict[str, Any] = {"part": f"{step}", "own": answer.token}
        return Proposal(answer.genes, token, answer.fidelity)

    def _ask_part(self, step: int, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        """What the step's strategy proposes; with its own choices alone changed, and new, where it holds others."""
        part, view = self.parts[f"{step}"], self._views.get(step)
        if view is None or view.held is None:
            return part.ask(number, pending)
        taken = {key_of(genes) for genes in pending}
        left = view.members()
        if left is not None:
            left = left[[key_of(row) not in self.seen and key_of(row) not in taken for row in left]]
            left = left[np.asarray(self.problem.feasible(left), dtype=bool)]
            if not len(left):
                return Exhausted("all choices of the step have been proposed")
        waiting = list(pending)
        for _ in range(_TRIES):
            answer = part.ask(number, waiting)
            if not isinstance(answer, Proposal):
                break
            genes = view.project(answer.genes)
            if key_of(genes) not in self.seen and key_of(genes) not in taken and self.problem.feasible(genes[None])[0]:
                return replace(answer, genes=genes)
            waiting.append(answer.genes)
        if left is None:
            return Exhausted("nothing new was found among the choices of the step")
        rng = generator(self.problem.seed, number, _STREAM)
        return Proposal(left[rng.integers(len(left))], {"kind": "random"})

    def _best_of(self, step: int, count: int, first: Proposal, number: int, pending: Sequence[Genes]) -> Proposal:
        """The best of ``count`` proposals by the filter's score; the first while the filter has no opinion."""
        judge = self.parts[f"{step}-filter"]
        if judge.score(first.genes[None], number, pending) is None:
            return first
        drawn = [first]
        while len(drawn) < count:
            more = self._ask_part(step, number, [*pending, *(proposal.genes for proposal in drawn)])
            if not isinstance(more, Proposal):
                break
            drawn.append(more)
        scores = judge.score(np.stack([proposal.genes for proposal in drawn]), number, pending)
        return first if scores is None else drawn[int(np.argmax(scores))]
