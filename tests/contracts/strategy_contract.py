"""What every strategy must do, whatever it thinks: inherit ``StrategyContract`` and name the strategy."""

from __future__ import annotations

import functools
import json
from collections import deque

import numpy as np
import pytest

from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Problem,
    Proposal,
    Wait,
    key_of,
)
from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.tree_space import conditional_space, flat_space


def landscape(space, num_objectives, seed=0):
    """Smooth-ish objectives from random pair interactions; the last one is the cost, so that they conflict."""
    rng = np.random.default_rng(seed)
    num_genes = len(space.genes)
    tables = rng.random((num_objectives, num_genes, 40, 40))

    def evaluate(genes):
        values = []
        for m in range(num_objectives):
            if num_objectives > 1 and m == num_objectives - 1:
                values.append(float(space.costs(genes[None])["macs"][0]))
            else:
                values.append(float(sum(tables[m, j, genes[j] + 1, genes[j - 1] + 1] for j in range(num_genes))))
        return tuple(values)

    return evaluate


def make_problem(
    space, num_objectives=2, seed=0, max_macs=None, feasible=None, known_cost=False, budget=None, **further
):
    """A problem whose last objective is the cost; ``max_macs`` bounds it, ``further`` are other fields."""
    bounds = {} if max_macs is None else {"macs": (None, max_macs)}

    def within(genes):
        return np.ones(len(genes), dtype=bool) if max_macs is None else space.costs(genes)["macs"] <= max_macs

    names = tuple(f"loss{i}" for i in range(num_objectives))
    if num_objectives > 1:
        names = (*names[:-1], "macs")
    known = tuple(known_cost and name == "macs" for name in names)
    return Problem(
        space, num_objectives, seed, feasible or within, bounds, space.costs, names, known, budget, **further
    )


@functools.cache
def long_history(count, *size):
    """Different architectures of `flat_space(*size)` and their objectives, the same for every strategy."""
    space = flat_space(*size)
    rows = space.sample(4 * count, np.random.default_rng(0))
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])][:count]
    assert len(rows) == count
    evaluate = landscape(space, 2)
    return rows, [evaluate(genes) for genes in rows]


class Runner:
    """Drives a strategy as the controller does: told in order, the ask of k sees exactly the trials below k + 1 - P."""

    def __init__(self, strategy, evaluate, parallelism=1, status=lambda number, genes: "succeeded"):
        self.strategy, self.evaluate, self.parallelism, self.status = strategy, evaluate, parallelism, status
        self.pending: deque[tuple[int, Proposal]] = deque()
        self.number = 0
        self.proposals: list[Proposal] = []
        self.history: list[Evaluation] = []
        self.end: str | None = None

    def tell_oldest(self):
        number, proposal = self.pending.popleft()
        status = self.status(number, proposal.genes)
        values = self.evaluate(proposal.genes) if status == "succeeded" else None
        token = json.loads(json.dumps(proposal.token))
        evaluation = Evaluation(number, proposal.genes, values, status, token, proposal.fidelity)
        self.history.append(evaluation)
        self.strategy.tell(evaluation)

    def step(self, count):
        """Ask for ``count`` more proposals; ends early when the strategy is exhausted."""
        while count > 0:
            while len(self.pending) >= self.parallelism:
                self.tell_oldest()
            answer = self.strategy.ask(self.number, [proposal.genes for _, proposal in self.pending])
            if isinstance(answer, Exhausted):
                assert answer.reason
                self.end = answer.reason
                break
            if isinstance(answer, Wait):
                assert self.pending, "a strategy must not wait when nothing is pending"
                self.tell_oldest()
                continue
            json.dumps(answer.token, allow_nan=False)
            assert answer.genes.shape == (len(self.strategy.problem.space.genes),)
            assert answer.fidelity in self.strategy.problem.fidelities
            self.proposals.append(answer)
            self.pending.append((self.number, answer))
            self.number += 1
            count -= 1
        return self

    def finish(self):
        while self.pending:
            self.tell_oldest()
        return self

    def fork(self, strategy):
        """A copy of this run that continues with another strategy object, restored from JSON."""
        copy = Runner(strategy, self.evaluate, self.parallelism, self.status)
        copy.pending, copy.number = deque(self.pending), self.number
        copy.proposals, copy.history = list(self.proposals), list(self.history)
        state = json.loads(json.dumps(self.strategy.state(), allow_nan=False))
        strategy.restore(state, list(self.history))
        return copy

    @property
    def keys(self):
        return [(key_of(proposal.genes), proposal.fidelity) for proposal in self.proposals]


class StrategyContract:
    """Set ``name``; override ``params`` and the caps where the strategy documents them."""

    name: str
    num_trials = 60  # enough to leave the initial phase
    objective_counts = (1, 2, 3, 4)
    completes_spaces = True
    ask_history = 2_000  # a state that holds a byte of each trial is noticed
    large_space = (7, 6)  # genes and options of the space of the long history

    def params(self, space):
        return {}

    def strategy(self, problem):
        kind = STRATEGIES[self.name]
        return kind(problem, kind.Params(**self.params(problem.space)))

    def run(self, space, num_objectives=2, parallelism=1, status=lambda number, genes: "succeeded", **problem):
        strategy = self.strategy(make_problem(space, num_objectives, **problem))
        return Runner(strategy, landscape(space, num_objectives), parallelism, status)

    def check(self, runner, space):
        genes = np.stack([proposal.genes for proposal in runner.proposals])
        assert space.valid(genes).all()
        assert runner.strategy.problem.feasible(genes).all()
        assert len(set(runner.keys)) == len(runner.keys), "an architecture was proposed twice"

    def test_has_help_for_everything(self):
        kind = STRATEGIES[self.name]
        assert kind.name == self.name
        assert kind.help
        assert all(field.description for field in kind.Params.model_fields.values())
        with pytest.raises(ValueError, match="Extra inputs"):
            kind.Params(**self.params(flat_space()), no_such_parameter=1)

    @pytest.mark.parametrize("parallelism", [1, 7])
    @pytest.mark.parametrize("make_space", [flat_space, conditional_space])
    def test_proposals_are_valid_feasible_and_new(self, make_space, parallelism):
        space = make_space()
        runner = self.run(space, parallelism=parallelism, max_macs=11).step(self.num_trials)
        assert runner.proposals
        self.check(runner, space)

    def test_one_to_four_objectives(self):
        space = conditional_space()
        for num_objectives in self.objective_counts:
            self.check(self.run(space, num_objectives, parallelism=3).step(self.num_trials), space)

    @pytest.mark.parametrize("parallelism", [1, 5])
    def test_restored_at_any_point_continues_identically(self, parallelism):
        """Restored before its first ask, it shows that nothing but the seed decides."""
        space = conditional_space()

        def status(number, genes):
            return ("succeeded", "succeeded", "infeasible", "succeeded", "failed")[number % 5]

        whole = self.run(space, parallelism=parallelism, status=status, max_macs=12)
        cuts = []
        for sixth in range(6):
            if sixth % 2 == (parallelism == 1):  # each of the six points is one of the two parallelisms'
                cuts.append(whole.fork(self.strategy(make_problem(space, 2, max_macs=12))))
            whole.step(self.num_trials // 6)
        for cut in cuts:
            cut.step(self.num_trials // 6 * 6 - cut.number)
            assert cut.keys == whole.keys
            assert cut.strategy.state() == whole.strategy.state()
            assert cut.strategy.num_rejected == whole.strategy.num_rejected

    def test_known_costs_and_budget_may_be_used(self):
        space = flat_space()
        self.check(self.run(space, known_cost=True, budget=self.num_trials).step(self.num_trials), space)

    def test_all_trials_may_fail_or_be_infeasible(self):
        space = flat_space()
        for outcome in ("failed", "infeasible"):
            self.check(self.run(space, parallelism=3, status=lambda n, g, o=outcome: o).step(self.num_trials), space)

    def test_constant_objectives(self):
        space = flat_space(4, 3)
        runner = self.run(space)
        runner.evaluate = lambda genes: (1.0, 1.0)
        self.check(runner.step(self.num_trials), space)

    def test_objectives_of_any_scale(self):
        space = flat_space(4, 3)
        runner = self.run(space)
        base = runner.evaluate
        runner.evaluate = lambda genes: (base(genes)[0] * 1e12, base(genes)[1] * 1e-12 - 1e6)
        self.check(runner.step(self.num_trials), space)

    @pytest.mark.parametrize("parallelism", [1, 6])
    def test_a_small_space_is_completed_and_then_exhausted(self, parallelism):
        for space, bound in ((flat_space(3, 4), None), (conditional_space(), 6), (flat_space(1, 1), None)):
            runner = self.run(space, parallelism=parallelism, max_macs=bound).step(2_000).finish()
            assert runner.end
            self.check(runner, space)
            if self.completes_spaces:
                feasible = space.enumerate()[runner.strategy.problem.feasible(space.enumerate())]
                assert len(runner.proposals) == len(feasible)
            assert isinstance(runner.strategy.ask(runner.number, []), Exhausted)

    def test_nothing_feasible_ends_with_a_reason(self):
        space = conditional_space()
        runner = self.run(space, max_macs=-1).step(3)
        assert runner.proposals == []
        assert runner.end

    def test_objectives_that_are_no_numbers_are_refused(self):
        for values in ((np.nan, 1.0), (np.inf, 1.0), (1.0,), None):
            strategy = self.strategy(make_problem(flat_space()))
            with pytest.raises(ValueError, match="finite numbers"):
                strategy.tell(Evaluation(0, flat_space().smallest(), values, "succeeded"))

    def test_a_long_history_is_used_and_asks_go_on(self):
        space = flat_space(*self.large_space)
        rows, values = long_history(self.ask_history, *self.large_space)
        runner = self.run(space)
        for number, genes in enumerate(rows):
            runner.strategy.tell(Evaluation(number, genes, values[number], "succeeded"))
        runner.number = len(rows)
        runner.step(20)
        assert len(json.dumps(runner.strategy.state())) < 2_000, "what is stored at each step must not grow"
        known = {(key_of(genes), 1.0) for genes in rows}
        assert runner.end or len(runner.proposals) == 20
        assert not known & set(runner.keys)
