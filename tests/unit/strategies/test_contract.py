"""Every registered strategy under the contract suite."""

import numpy as np

from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.strategy_contract import StrategyContract
from tests.contracts.tree_space import flat_space


class TestRandom(StrategyContract):
    name = "random"


class TestAuto(StrategyContract):
    name = "auto"


class TestSurrogate(StrategyContract):
    name = "surrogate"


class TestNsga2(StrategyContract):
    name = "nsga2"


class TestNsga2Generational(StrategyContract):
    name = "nsga2"

    def params(self, space):
        return {"mode": "generational", "population": 12}


class TestNsga2EarlyExit(StrategyContract):
    name = "nsga2"

    def params(self, space):
        return {"early_exit": {"macs": 8}}


class TestNsga3(StrategyContract):
    name = "nsga3"


class TestGrid(StrategyContract):
    name = "grid"
    large_space = (6, 6)


class TestMcts(StrategyContract):
    name = "mcts"


class TestMctsHypervolume(StrategyContract):
    name = "mcts"

    def params(self, space):
        return {"reward": "hypervolume", "bisection": False}


class TestOptuna(StrategyContract):
    name = "optuna"
    num_trials = 30


class TestSuccessiveHalving(StrategyContract):
    name = "successive_halving"


class TestFlow(StrategyContract):
    name = "flow"

    def params(self, space):
        nsga2 = {"name": "nsga2", "params": {"mode": "generational", "population": 8}}
        return {
            "repeat": True,
            "steps": [
                {"strategy": {"name": "random"}, "trials": 12},
                {"strategy": nsga2, "stalled": 6},
                {"strategy": {"name": "aging_evolution"}, "trials": 10},
            ],
        }


class TestFlowNested(StrategyContract):
    name = "flow"

    def params(self, space):
        first, *others = (gene.name for gene in space.genes)
        return {
            "repeat": True,
            "steps": [
                {"strategy": {"name": "aging_evolution"}, "choices": [first], "trials": 2},
                {"strategy": {"name": "nsga2"}, "choices": others, "hold": "latest", "trials": 6},
            ],
        }


class TestWarmStart(StrategyContract):
    name = "warm_start"

    def params(self, space):
        return {"searches": ["srch_none"], "strategy": {"name": "nsga2"}}


class TestLamoo(StrategyContract):
    name = "lamoo"


class TestBananas(StrategyContract):
    name = "bananas"

    def params(self, space):
        return {"epochs": 10, "networks": 2}


class TestLinas(StrategyContract):
    name = "linas"

    def params(self, space):
        return {"generations": 3, "population": 12}


class TestBoshnas(StrategyContract):
    name = "boshnas"

    def params(self, space):
        return {"epochs": 10, "steps": 3}


class TestRl(StrategyContract):
    name = "rl"


class TestRlRecurrent(StrategyContract):
    name = "rl"

    def params(self, space):
        return {"policy": "recurrent", "algorithm": "reinforce", "batch": 1}


class TestLocalSearch(StrategyContract):
    name = "local_search"


class TestAgingEvolution(StrategyContract):
    name = "aging_evolution"

    def params(self, space):
        return {"population": 20, "tournament": 5}


class TestUniformScaling(StrategyContract):
    name = "uniform_scaling"
    completes_spaces = False


class TestFixed(StrategyContract):
    name = "fixed"
    completes_spaces = False

    def params(self, space):
        rows = space.sample(300, np.random.default_rng(3)) if space.cardinality > 300 else space.enumerate()[::7]
        choices = [
            {gene.name: gene.options[k] for gene, k in zip(space.genes, row, strict=True) if k >= 0} for row in rows
        ]
        return {"architectures": choices}


def test_every_strategy_has_a_suite():
    suites = {kind.name for kind in StrategyContract.__subclasses__()}
    assert suites == set(STRATEGIES)


def test_order_of_a_fixed_list_is_kept():
    suite = TestFixed()
    runner = suite.run(flat_space(3, 4)).step(100)
    assert [p.genes.tolist() for p in runner.proposals] == flat_space(3, 4).enumerate()[::7].tolist()
