"""Successive halving over fidelities, warm starts, flows: what the contract suite cannot see."""

import json
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from nas_service.domain.pareto import non_dominated
from nas_service.methods.strategies.base import Evaluation, Exhausted, key_of
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.methods.strategies.successive_halving import Rung, rung_fidelities
from tests.contracts.strategy_contract import Runner, landscape, make_problem
from tests.contracts.tree_space import conditional_space, flat_space


def make(name, problem, **params):
    kind = STRATEGIES[name]
    complete = json.loads(kind.Params(**params).model_dump_json())  # as it is stored with a search
    return kind(problem, kind.Params(**complete))


class TestHalving:
    fidelities = (0.01, 0.1, 0.3, 1.0)

    def run(self, count, parallelism=1, num_objectives=1, status=lambda number, genes: "succeeded", **further):
        space = flat_space()
        params = {"eta": further.pop("eta", 3), "strategy": {"name": further.pop("inner", "random")}}

        def new():
            problem = make_problem(space, num_objectives, fidelities=self.fidelities, **further)
            return make("successive_halving", problem, **params)

        runner = Runner(new(), landscape(space, num_objectives), parallelism, status)
        return runner.step(count), new

    def test_rungs_keep_their_distance(self):
        assert rung_fidelities((1.0,), 3) == [1.0]
        assert rung_fidelities((0.06, 1.0), 27) == [0.06, 1.0]
        assert rung_fidelities((0.01, 0.02, 0.04, 0.3, 0.5, 1.0), 3) == [0.01, 0.04, 0.3, 1.0]

    def test_a_rung_orders_by_front_then_room_then_age(self):
        rung, genes = Rung(0.1), np.zeros(1, dtype=np.int16)
        points = [(1.0, 1.0), (0.0, 1.0), (0.5, 0.5), (0.51, 0.49), (0.9, 0.1), (1.0, 0.0), (2.0, 2.0), (2.0, 2.0)]
        rung.good = [Evaluation(number, genes, point, "succeeded") for number, point in enumerate(points)]
        # The ends of the front, then who is far from its neighbours; what is as good as another in the order of age.
        assert [evaluation.number for evaluation in rung.best_first()] == [1, 5, 2, 4, 3, 0, 6, 7]

    def test_one_worker_promotes_the_best_third_and_never_more(self):
        runner, _ = self.run(300)
        arrivals = {fidelity: [] for fidelity in self.fidelities}
        for evaluation in runner.finish().history:
            arrivals[evaluation.fidelity].append(evaluation)
        counts = [len(arrivals[fidelity]) for fidelity in self.fidelities]
        assert all(0 < upper <= lower // 3 for lower, upper in pairwise(counts)), counts
        assert counts[1] >= counts[0] // 3 - 1, counts
        values = sorted(e.objectives[0] for e in arrivals[0.01])
        promoted = [e.objectives[0] for e in arrivals[0.1]]
        assert np.median(promoted) < values[len(values) // 4]

    @pytest.mark.parametrize("parallelism", [1, 6])
    @pytest.mark.parametrize("num_objectives", [1, 2])
    def test_restored_in_the_middle_it_goes_on_identically(self, parallelism, num_objectives):
        def status(number, genes):
            return ("succeeded", "infeasible", "succeeded", "failed", "succeeded")[number % 5]

        whole, new = self.run(60, parallelism, num_objectives, status=status, inner="nsga2")
        copy = whole.fork(new())
        assert copy.step(60).keys == whole.step(60).keys
        assert len(set(whole.keys)) == len(whole.keys)
        assert copy.strategy.state() == whole.strategy.state()

    def test_a_small_budget_still_ends_with_full_evaluations(self):
        for budget in (5, 20):
            runner, _ = self.run(budget, parallelism=2, budget=budget)
            assert any(proposal.fidelity == 1.0 for proposal in runner.proposals)

    def test_a_finished_space_is_evaluated_in_full_before_the_end(self):
        space = flat_space(2, 3)
        strategy = make("successive_halving", make_problem(space, 1, fidelities=self.fidelities))
        runner = Runner(strategy, landscape(space, 1), parallelism=3).step(500).finish()
        assert runner.end
        full = {key for key, fidelity in runner.keys if fidelity == 1.0}
        assert len(full) == space.cardinality


class TestWarmStart:
    def earlier(self, space, evaluate, count=80):
        rows = np.unique(space.sample(4 * count, np.random.default_rng(9)), axis=0)[:count]
        return tuple(Evaluation(i, row, evaluate(row), "succeeded") for i, row in enumerate(rows))

    @pytest.mark.parametrize("inner", ["nsga2", "surrogate", "local_search"])
    def test_the_earlier_front_comes_first_and_the_rest_is_known(self, inner):
        space = flat_space()
        evaluate = landscape(space, 2)
        earlier = self.earlier(space, evaluate)
        problem = make_problem(space, earlier=earlier)
        runner = Runner(
            make("warm_start", problem, searches=["srch_1"], strategy={"name": inner}, first=3), evaluate, 2
        ).step(40)
        front = non_dominated(np.array([e.objectives for e in earlier]))
        best = {key_of(earlier[i].genes) for i in np.flatnonzero(front)}
        keys = [key for key, _ in runner.keys]
        assert set(keys[:3]) <= best
        assert runner.proposals[2].token == {"kind": "earlier"}
        known = {key_of(e.genes) for e in earlier} - set(keys[:3])
        assert not known & set(keys[3:])
        kinds = [proposal.token["own"].get("kind") for proposal in runner.proposals[3:]]
        assert "initial" not in kinds

    def test_only_architectures_carry_over_when_results_do_not_compare(self):
        space = flat_space()
        evaluate = landscape(space, 2)
        earlier = self.earlier(space, lambda genes: (0.0, 0.0))
        problem = make_problem(space, earlier=earlier)
        strategy = make(
            "warm_start", problem, searches=["srch_1"], strategy={"name": "random"}, first=3, use_results=False
        )
        assert strategy.parts["strategy"].history == []
        assert Runner(strategy, evaluate).step(20).proposals[5].token["own"] == {}

    def test_what_is_infeasible_here_or_unfinished_is_left_out(self):
        space = conditional_space()
        evaluate = landscape(space, 2)
        rows = space.enumerate()
        earlier = tuple(
            Evaluation(
                i,
                row,
                evaluate(row) if i % 2 else None,
                "succeeded" if i % 2 else "failed",
                fidelity=1.0 if i % 3 else 0.1,
            )
            for i, row in enumerate(rows)
        )
        problem = make_problem(space, max_macs=9, earlier=earlier)
        strategy = make("warm_start", problem, searches=["srch_1"], strategy={"name": "nsga2"}, first=4)
        told = strategy.parts["strategy"].history
        assert told
        genes = np.stack([e.genes for e in told])
        assert (space.costs(genes)["macs"] <= 9).all()
        runner = Runner(strategy, evaluate, 3).step(30)
        copy = runner.fork(make("warm_start", problem, searches=["srch_1"], strategy={"name": "nsga2"}, first=4))
        assert copy.step(20).keys == runner.step(20).keys

    def test_needs_no_earlier_result(self):
        with pytest.raises(ValidationError, match="searches"):
            STRATEGIES["warm_start"].Params(strategy={"name": "nsga2"})
        with pytest.raises(ValidationError, match="allowed"):
            STRATEGIES["warm_start"].Params(searches=["a"], strategy={"name": "warm_start"})


class TestFlow:
    def test_steps_switch_by_count_and_when_the_front_stalls(self):
        space = flat_space()
        steps = [
            {"strategy": {"name": "grid"}, "trials": 10},
            {"strategy": {"name": "random"}, "stalled": 7},
            {"strategy": {"name": "nsga2"}},
        ]
        runner = Runner(make("flow", make_problem(space, 1), steps=steps), lambda genes: (float(genes[0]),)).step(60)
        parts = [proposal.token["part"] for proposal in runner.proposals]
        assert parts[:10] == ["0"] * 10
        assert parts[10:] == sorted(parts[10:])
        # Grid begins with the best value there is, so nothing after the tenth improves: seven random ones.
        assert parts.count("1") == 7
        assert np.array_equal(runner.proposals[9].genes, space.enumerate()[9])

    def test_an_exhausted_step_is_passed_over(self):
        space = flat_space(2, 3)
        choices = [{"g0": "o0", "g1": "o1"}, {"g0": "o2", "g1": "o2"}]
        steps = [
            {"strategy": {"name": "fixed", "params": {"architectures": choices}}, "trials": 5},
            {"strategy": {"name": "grid"}},
        ]
        runner = Runner(make("flow", make_problem(space), steps=steps), landscape(space, 2)).step(50)
        assert [proposal.token["part"] for proposal in runner.proposals] == ["0"] * 2 + ["1"] * 7
        assert isinstance(runner.strategy.ask(9, []), Exhausted)

    def test_a_filter_chooses_what_its_model_expects_to_be_best(self):
        space = flat_space()

        def evaluate(genes):
            return (float(genes.sum()),)

        def mean_of(steps):
            runner = Runner(make("flow", make_problem(space, 1), steps=steps), evaluate).step(80).finish()
            return np.mean([e.objectives[0] for e in runner.history[30:]])

        random = {"strategy": {"name": "random"}}
        judged = {**random, "filter": {"strategy": {"name": "surrogate"}, "candidates": 8}}
        assert mean_of([judged]) < mean_of([random]) - 2

    @pytest.mark.parametrize("interaction", [False, True])
    def test_separate_steps_find_a_sum_in_the_sum_of_the_sizes(self, interaction):
        """f(a, b) = g(a) + h(b) over 40 x 40 is solved in 80 trials; with a strong interaction it must not be."""
        space = flat_space(2, 40)
        rng = np.random.default_rng(3)
        g, h, mixed = rng.permutation(40), rng.permutation(40), rng.permutation(1600).reshape(40, 40)

        def evaluate(genes):
            a, b = genes
            return (float(mixed[a, b] if interaction else g[a] + h[b]),)

        random = {"name": "random"}
        steps = [
            {"strategy": random, "choices": ["g0"], "trials": 40},
            {"strategy": random, "choices": ["g1"], "trials": 40},
        ]
        runner = Runner(make("flow", make_problem(space, 1), steps=steps), evaluate).step(80).finish()
        genes = np.array([e.genes for e in runner.history])
        assert len(np.unique(genes[:40, 1])) == 1
        assert len(np.unique(genes[40:79, 0])) == 1  # one of the 40 had been evaluated before
        assert (min(e.objectives[0] for e in runner.history) == 0) is not interaction

    def test_an_inner_search_keeps_what_the_outer_proposed(self):
        space = flat_space()
        steps = [
            {"strategy": {"name": "aging_evolution"}, "choices": ["g0", "g1"], "trials": 1},
            {"strategy": {"name": "random"}, "choices": ["g[2-9]"], "hold": "latest", "trials": 4},
        ]
        params = {"steps": steps, "repeat": True}
        runner = Runner(make("flow", make_problem(space), **params), landscape(space, 2)).step(60).finish()
        outer = [e.genes[:2].tolist() for e in runner.history]
        assert all(outer[i] == outer[i - i % 5] for i in range(60))
        assert len({tuple(pair) for pair in outer}) > 4
        drawn = [steps[0] | {"hold": "random", "trials": 12}, steps[1] | {"hold": "best"}]
        runner = Runner(make("flow", make_problem(space), steps=drawn), landscape(space, 2)).step(40).finish()
        inner = [tuple(e.genes[2:]) for e in runner.history]
        assert len(set(inner[:12])) > 6
        assert len({tuple(e.genes[:2]) for e in runner.history[12:]}) == 1

    def test_choices_that_the_space_lacks_are_refused(self):
        with pytest.raises(ValueError, match=r"no choice matches 'h\*'; choices: g0, g1"):
            make("flow", make_problem(flat_space()), steps=[{"strategy": {"name": "random"}, "choices": ["h*"]}])

    def test_wrong_flows_are_refused_with_a_reason(self):
        check = STRATEGIES["flow"].Params.model_validate
        random = {"name": "random"}
        for document, reason in (
            ({"steps": []}, "at least one step"),
            ({"steps": [{"strategy": random}, {"strategy": random}]}, "step 1 never ends"),
            ({"steps": [{"strategy": {"name": "nsga4"}}]}, "allowed: aging_evolution"),
            ({"steps": [{"strategy": {"name": "nsga2", "params": {"population": 1}}}]}, "population: Input should be"),
            ({"steps": [{"strategy": random, "filter": {"strategy": random}}]}, "cannot score"),
        ):
            with pytest.raises(ValidationError, match=reason):
                check(document)
