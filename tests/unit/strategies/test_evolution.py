"""NSGA-III's parts against pymoo and against what can be counted; EEEA's initial filter; grid's order."""

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga3 import associate_to_niches
from pymoo.util.ref_dirs import get_reference_directions

from nas_service.domain.pareto import front_ranks, hypervolume
from nas_service.methods.strategies.nsga3 import (
    NichePopulation,
    associate,
    normalise,
    reference_directions,
    survivors,
)
from nas_service.methods.strategies.population import Population, dominance_ranks
from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.strategy_contract import Runner, landscape, make_problem
from tests.contracts.tree_space import conditional_space, flat_space


@pytest.mark.parametrize(("m", "parts"), [(2, 9), (3, 5), (4, 3)])
def test_directions_are_the_lattice_of_das_and_dennis(m, parts):
    theirs = get_reference_directions("das-dennis", m, n_partitions=parts)
    ours = reference_directions(m, len(theirs))
    assert sorted(map(tuple, ours.round(9))) == sorted(map(tuple, theirs.round(9)))
    assert len(reference_directions(m, len(theirs) - 1)) < len(theirs)


def test_association_equals_pymoo():
    rng = np.random.default_rng(0)
    points, directions = rng.random((200, 3)), reference_directions(3, 50)
    niche, distance, _ = associate_to_niches(points, directions, np.zeros(3), np.ones(3))
    ours = associate(points, directions)
    np.testing.assert_array_equal(ours[0], niche)
    np.testing.assert_allclose(ours[1], distance, atol=1e-9)


def test_a_plane_is_scaled_to_unit_intercepts_and_degenerate_fronts_stay_finite():
    rng = np.random.default_rng(1)
    plane = rng.dirichlet(np.ones(3), size=60)
    plane = np.vstack([plane, np.eye(3)])
    scaled = normalise(plane * [10.0, 0.1, 1e6] + [5.0, -3.0, 7.0], np.ones(len(plane), dtype=bool))
    np.testing.assert_allclose(scaled, plane, atol=1e-6)
    for odd in (np.zeros((5, 3)), np.tile([[1.0, 2.0, 3.0]], (4, 1)), rng.random((1, 3))):
        assert np.isfinite(normalise(odd, np.ones(len(odd), dtype=bool))).all()


def test_survivors_fill_empty_directions_first():
    ranks = np.array([0, 0, 1, 1, 1, 2])
    niche = np.array([0, 0, 0, 1, 2, 3])
    distance = np.array([0.1, 0.1, 0.0, 0.5, 0.4, 0.0])
    np.testing.assert_array_equal(survivors(ranks, niche, distance, 4, 3), [0, 1, 4])
    np.testing.assert_array_equal(survivors(ranks, niche, distance, 4, 5), [0, 1, 2, 3, 4])


def test_niches_keep_a_front_of_three_objectives_spread():
    rng = np.random.default_rng(2)
    points = rng.dirichlet(np.full(3, 4.0), size=600)  # all non-dominated, most in the middle
    population = NichePopulation(3)
    for start in range(0, 600, 50):
        part = points[start : start + 50]
        population.add(np.zeros((len(part), 1), dtype=np.int16), part, 45)
    kept = population.objectives
    assert len(kept) == 45
    assert (front_ranks(kept) == 0).all()
    random = points[rng.permutation(600)[:45]]
    assert hypervolume(kept, np.ones(3)) > hypervolume(random, np.ones(3))


def test_early_exit_bounds_the_first_and_only_the_first():
    space = flat_space()
    limit = int(np.median(space.costs(space.enumerate())["macs"]))
    kind = STRATEGIES["nsga2"]
    strategy = kind(make_problem(space), kind.Params(population=40, early_exit={"macs": limit}))
    runner = Runner(strategy, lambda genes: (-float(genes.sum()), 0.0)).step(200)
    costs = space.costs(np.stack([p.genes for p in runner.proposals]))["macs"]
    assert (costs[:40] <= limit).all()
    assert (costs[40:] > limit).any()
    assert 15 < strategy.num_rejected < 60  # about as many as were kept: the limit is the median
    with pytest.raises(ValueError, match="known here"):
        kind(make_problem(space), kind.Params(early_exit={"params": 1}))


def test_grid_keeps_its_order_and_refuses_what_is_too_large():
    space = conditional_space()
    kind = STRATEGIES["grid"]
    runner = Runner(kind(make_problem(space)), landscape(space, 2), parallelism=5).step(10_000)
    assert np.array_equal(np.stack([p.genes for p in runner.proposals]), space.enumerate())
    shuffled = Runner(kind(make_problem(space), kind.Params(order="shuffled")), landscape(space, 2)).step(10_000)
    assert set(shuffled.keys) == set(runner.keys)
    assert shuffled.keys != runner.keys
    with pytest.raises(ValueError, match="279,936 architectures"):
        kind(make_problem(flat_space(7, 6)))


@pytest.mark.parametrize("m", [1, 2, 3])
def test_ranks_of_small_sets_equal_those_by_peeling(m):
    rng = np.random.default_rng(m)
    for n in (1, 2, 30, 100):
        points = rng.integers(0, 8, size=(n, m)).astype(float)  # with ties and equal points
        np.testing.assert_array_equal(dominance_ranks(points), front_ranks(points))


def test_a_population_keeps_what_sorting_everything_would_keep():
    rng = np.random.default_rng(7)
    population = Population()
    told = rng.random((40, 2))
    for step in range(40):
        population.add(np.full((1, 1), step, dtype=np.int16), told[step : step + 1], 12)
    assert len(population) == 12
    assert {tuple(told[np.argmin(told[:, j])]) for j in range(2)} <= set(map(tuple, population.objectives))
    order = population.best_first()
    assert (np.diff(population.ranks[order]) >= 0).all()
    for rank in np.unique(population.ranks):
        inside = population.crowding[order][population.ranks[order] == rank]
        assert (inside[1:] <= inside[:-1]).all()


def test_the_better_of_two_wins_by_rank_and_then_by_room():
    population = Population()
    front = [[0.0, 1.0], [0.5, 0.5], [0.51, 0.49], [1.0, 0.0]]  # the two in the middle crowd each other
    population.add(np.arange(6, dtype=np.int16)[:, None], np.array([*front, [0.9, 0.9], [2.0, 2.0]]), 6)
    rng = np.random.default_rng(0)
    wins = np.bincount([int(population.tournament(rng)[0]) for _ in range(3000)], minlength=6) / 3000
    # Who is worst wins against itself alone; the ends of the front lose to nobody.
    assert wins[[5, 4]] == pytest.approx([1 / 36, 3 / 36], abs=0.02)
    assert wins[[0, 3]] == pytest.approx([10 / 36] * 2, abs=0.03)
    population.truncate(3)
    assert {tuple(row) for row in population.objectives} in ({*map(tuple, front)} - {tuple(front[i])} for i in (1, 2))
