"""The default strategies on the compiled spaces of the library, restored half-way, with a bound on the costs."""

import numpy as np
import pytest

from nas_service.methods.strategies.base import Problem
from nas_service.methods.strategies.registry import STRATEGIES
from search_spaces.library_index import load_library
from tests.contracts.strategy_contract import Runner


def problem(space, seed=0):
    limit = float(np.median(space.costs(space.sample(200, np.random.default_rng(1)))["macs"]))
    return Problem(
        space,
        2,
        seed,
        lambda genes: space.costs(genes)["macs"] <= limit,
        {"macs": (None, limit)},
        space.costs,
        ("loss", "macs"),
        (False, True),
        100,
    )


@pytest.mark.parametrize(
    ("library_name", "name"),
    [
        ("digits-mobile", "random"),
        ("digits-mobile", "auto"),
        ("digits-mobile", "local_search"),
        ("nasbench201-cell", "nsga2"),
        ("nasbench201-cell", "local_search"),
        ("nasbench201-cell", "surrogate"),
        ("mobilenetv3-ofa", "nsga2"),
        ("mobilenetv3-ofa", "auto"),
        ("mobilenetv3-ofa", "mcts"),
        ("mobilenetv3-ofa", "rl"),
        ("digits-mobile", "mcts"),
        ("digits-mobile", "lamoo"),
        ("digits-mobile", "linas"),
        ("digits-mobile", "bananas"),
        ("digits-mobile", "boshnas"),
        ("digits-mobile", "optuna"),
        ("digits-mobile", "successive_halving"),
    ],
)
def test_proposals_are_feasible_and_survive_a_restart(library_name, name):
    space = load_library(library_name)
    given = problem(space)

    def evaluate(genes):
        return (-float(space.encode_ordinal(genes[None]).sum()), float(space.costs(genes[None])["macs"][0]))

    whole = Runner(STRATEGIES[name](given), evaluate, parallelism=4).step(20)
    copy = whole.fork(STRATEGIES[name](given))
    whole.step(20)
    assert copy.step(20).keys == whole.keys
    genes = np.stack([proposal.genes for proposal in whole.proposals])
    assert space.valid(genes).all()
    assert given.feasible(genes).all()
    assert len(set(whole.keys)) == 40


def test_evolution_starts_at_the_ends_of_an_ordered_space():
    space = load_library("digits-mobile")
    free = Problem(space, 2, 0, lambda g: np.ones(len(g), dtype=bool), {}, space.costs, ("loss", "macs"), (False, True))
    for name in ("nsga2", "auto"):
        runner = Runner(STRATEGIES[name](free), lambda genes: (0.0, 0.0)).step(2)
        np.testing.assert_array_equal(runner.proposals[0].genes, space.smallest())
        np.testing.assert_array_equal(runner.proposals[1].genes, space.largest())


def test_uniform_scaling_of_a_real_space():
    space = load_library("digits-mobile")
    free = Problem(space, 2, 0, lambda g: np.ones(len(g), dtype=bool), {}, space.costs, ("loss", "macs"), (False, True))
    runner = Runner(STRATEGIES["uniform_scaling"](free), lambda genes: (0.0, 0.0)).step(100)
    assert runner.end
    assert len(runner.proposals) >= 3
    macs = space.costs(np.stack([proposal.genes for proposal in runner.proposals]))["macs"]
    assert (np.diff(macs) > 0).all()
