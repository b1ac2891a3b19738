"""Peers of a benchmark: they finish spaces without repeating, see what was told and nothing else, and learn from it."""

from importlib.util import find_spec

import numpy as np
import pytest

from nas_service.methods.strategies.base import Wait, key_of
from nas_service.tables.peers import PEERS
from tests.contracts.strategy_contract import Runner, landscape, make_problem
from tests.contracts.tree_space import conditional_space, flat_space

# Optuna's samplers pass the contract of all strategies elsewhere.
INSTALLED = [n for n, peer in PEERS.items() if peer.package != "optuna" and find_spec(peer.package) is not None]


def runner_of(
    name, space, num_objectives=2, seed=0, parallelism=1, status=lambda number, genes: "succeeded", **problem
):
    strategy = PEERS[name].make(make_problem(space, num_objectives, seed, **problem))
    return Runner(strategy, landscape(space, num_objectives), parallelism, status)


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("num_objectives", [1, 2])
def test_a_seed_decides_everything_and_nothing_is_repeated(name, num_objectives):
    space = conditional_space()
    keys = [runner_of(name, space, num_objectives, parallelism=2).step(20).finish().keys for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 20


@pytest.mark.parametrize(
    ("name", "make_space"),
    [*((name, lambda: flat_space(3, 4)) for name in INSTALLED), ("pymoo-nsga2", conditional_space)],
)
def test_a_space_is_finished_also_with_constraints_and_infeasible_trials(name, make_space):
    space = make_space()
    everything = space.enumerate()
    bound = float(np.median(space.costs(everything)["macs"]))
    inside = everything[space.costs(everything)["macs"] <= bound]

    def status(number, genes):
        return "infeasible" if number % 3 == 0 else "succeeded"

    runner = runner_of(name, space, parallelism=4, status=status, max_macs=bound).step(len(everything)).finish()
    assert sorted(key for key, _ in runner.keys) == sorted(key_of(row) for row in inside)
    assert runner.end


@pytest.mark.parametrize("name", INSTALLED)
def test_nothing_feasible_ends_with_a_reason(name):
    runner = runner_of(name, flat_space(3, 4), max_macs=-1.0).step(5)
    assert runner.end == "no architecture satisfies the constraints"


def test_pymoo_is_told_what_was_measured_and_its_population_is_of_the_best():
    space = flat_space(6, 5)
    runner = runner_of("pymoo-nsga2", space).step(200).finish()
    strategy, evaluate = runner.strategy, landscape(space, 2)
    population = strategy._algorithm.pop
    assert len(population) == 10
    for individual in population:
        assert tuple(individual.F) == evaluate(np.asarray(individual.X, dtype=np.int16))
    # Those that survive dominate far more of what was tried than a random one does.
    tried = np.array([evaluation.objectives for evaluation in runner.history])
    dominated = [(tried >= individual.F).all(axis=1).mean() for individual in population]
    assert np.mean(dominated) > 1.5 * np.mean([(tried >= point).all(axis=1).mean() for point in tried[:50]])


def test_pymoo_waits_for_the_last_of_a_generation():
    runner = runner_of("pymoo-nsga2", flat_space(6, 5), parallelism=100).step(10)
    answer = runner.strategy.ask(10, [proposal.genes for _, proposal in runner.pending])
    assert isinstance(answer, Wait)


@pytest.mark.skipif("botorch" not in INSTALLED, reason="BoTorch is not installed")
def test_botorch_finds_the_best_of_a_separable_target():
    space = flat_space(4, 4)
    best = space.enumerate()[137]

    def evaluate(genes):
        return (float((genes != best).sum()),)

    runner = runner_of("botorch", space, 1)
    runner.evaluate = evaluate
    found = [evaluation.objectives[0] for evaluation in runner.step(25).finish().history]
    assert min(found) == 0.0
