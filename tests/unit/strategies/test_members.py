"""Spaces of which only some members can be evaluated, as in a table of few of its architectures."""

import numpy as np
import pytest

from nas_service.methods.strategies.base import key_of
from nas_service.methods.strategies.candidates import Candidates
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.tables.flat_space import flat_space
from tests.contracts.strategy_contract import Runner, landscape, make_problem

FAST = [
    "random",
    "grid",
    "local_search",
    "aging_evolution",
    "nsga2",
    "nsga3",
    "mcts",
    "lamoo",
    "rl",
    "surrogate",
    "auto",
]


@pytest.fixture(scope="module")
def space():
    return flat_space("few", [f"x{j}" for j in range(12)], [{"a", "b", "c"}] * 12)


@pytest.fixture(scope="module")
def members(space):
    return np.unique(space.sample(50, np.random.default_rng(1)), axis=0)


@pytest.mark.parametrize("name", FAST)
def test_proposes_each_member_once_and_nothing_else(name, space, members):
    problem = make_problem(space, 2, members=members)
    kind = STRATEGIES[name]
    runner = Runner(kind(problem, kind.Params()), landscape(space, 2), parallelism=3)
    runner.step(len(members) + 5)
    proposed = [key_of(proposal.genes) for proposal in runner.proposals]
    assert len(set(proposed)) == len(proposed)
    assert set(proposed) == {key_of(row) for row in members}
    assert runner.end is not None


def test_a_child_is_the_nearest_member_left_and_neighbours_are_the_nearest_ones(space, members):
    seen: set[bytes] = set()
    candidates = Candidates(make_problem(space, 2, members=members), seen)
    made = members[7].copy()
    made[0] = (made[0] + 1) % 3
    rng = np.random.default_rng(0)
    distance = (members != made).sum(axis=1)
    assert key_of(candidates.child(rng, set(), lambda _: made)) == key_of(members[7])
    seen.add(key_of(members[7]))
    second = candidates.child(rng, set(), lambda _: made)
    assert (second != made).sum() == np.sort(distance)[1]
    found = candidates.neighbours(members[7])
    apart = np.sort((members != members[7]).sum(axis=1))[1:]
    assert (found != members[7]).sum(axis=1).tolist() == apart[: len(found)].tolist()
    assert candidates.rejected == 0
