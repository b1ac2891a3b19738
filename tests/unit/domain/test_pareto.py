"""Pareto tools against pymoo, against brute force, and by their algebraic properties."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.indicators.hv import Hypervolume
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nas_service.domain.pareto import (
    IncrementalHypervolume,
    crowding,
    front_ranks,
    hypervolume,
    hypervolume_contributions,
    hypervolume_sequence,
    non_dominated,
    select_best_k,
)


def brute_force_front(F):
    """First occurrence of each point that nothing dominates."""
    mask = np.ones(len(F), dtype=bool)
    for i in range(len(F)):
        for j in range(len(F)):
            dominates = (F[j] <= F[i]).all() and (F[j] < F[i]).any()
            if dominates or (j < i and (F[j] == F[i]).all()):
                mask[i] = False
    return mask


def point_sets():
    """Small grids of values make ties, duplicates and constant objectives frequent."""
    return st.integers(1, 4).flatmap(
        lambda m: st.integers(0, 14).flatmap(
            lambda n: arrays(np.float64, (n, m), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5]))
        )
    )


def random_sets(m, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        F = rng.random((rng.integers(1, 40), m))
        kind = rng.integers(4)
        if kind == 1:
            F = np.round(F * 4) / 4
        elif kind == 2:
            F[:, rng.integers(m)] = 0.5
        elif kind == 3:
            F = F[rng.integers(len(F), size=len(F))]
        yield F


@given(point_sets())
@settings(max_examples=300, deadline=None)
def test_front_equals_brute_force(F):
    np.testing.assert_array_equal(non_dominated(F), brute_force_front(F))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_large_sets_take_the_fast_path_and_stay_exact(m):
    rng = np.random.default_rng(m)
    F = np.round(rng.random((6_000, m)), 2)
    mask = non_dominated(F)
    front = F[mask]
    assert len(np.unique(front, axis=0)) == len(front)
    covered = np.zeros(len(F), dtype=bool)
    for point in front:
        covered |= (point <= F).all(axis=1)
    assert covered.all()
    assert brute_force_front(front).all()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_ranks_equal_pymoo(m):
    for F in random_sets(m, 100, seed=m):
        expected = np.empty(len(F), dtype=int)
        for rank, front in enumerate(NonDominatedSorting().do(F)):
            expected[front] = rank
        np.testing.assert_array_equal(front_ranks(F), expected)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_crowding_equals_pymoo_up_to_its_division_by_the_number_of_objectives(m):
    for F in random_sets(m, 100, seed=10 + m):
        front = F[non_dominated(F)]
        if len(front) < 3 or (front.max(axis=0) == front.min(axis=0)).any():
            continue
        if any(len(np.unique(column)) < len(column) for column in front.T):
            continue  # with ties inside one objective the distance depends on the order of equal values
        np.testing.assert_allclose(crowding(front), calc_crowding_distance(front) * m)


def test_crowding_of_a_constant_objective_is_finite_inside():
    F = np.array([[0.0, 1.0], [0.25, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(crowding(F), [np.inf, 1.0, np.inf])


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_hypervolume_equals_pymoo(m):
    reference = np.full(m, 0.9)
    for F in random_sets(m, 100, seed=20 + m):
        inside = F[(reference > F).all(axis=1)]
        expected = Hypervolume(ref_point=reference).do(inside) if len(inside) else 0.0
        assert hypervolume(F, reference) == pytest.approx(expected, abs=1e-12)


def test_hypervolume_of_five_objectives_by_hand():
    F = np.zeros((2, 5))
    F[0, 0] = F[1, 4] = 0.5
    assert hypervolume(F, np.ones(5)) == pytest.approx(0.5 + 0.5 - 0.25)


@given(point_sets())
@settings(max_examples=150, deadline=None)
def test_sequence_is_the_hypervolume_of_each_prefix(F):
    reference = np.full(F.shape[1], 1.25)
    expected = [hypervolume(F[: i + 1], reference) for i in range(len(F))]
    np.testing.assert_allclose(hypervolume_sequence(F, reference), expected, atol=1e-12)


@given(point_sets())
@settings(max_examples=150, deadline=None)
def test_contribution_is_what_leaving_out_costs(F):
    reference = np.full(F.shape[1], 1.25)
    whole = hypervolume(F, reference)
    expected = [whole - hypervolume(np.delete(F, i, axis=0), reference) for i in range(len(F))]
    np.testing.assert_allclose(hypervolume_contributions(F, reference), expected, atol=1e-12)


@given(point_sets(), st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_best_k_is_greedy_and_never_dominated(F, k):
    reference = np.full(F.shape[1], 1.25)
    chosen = select_best_k(F, reference, k)
    front = np.flatnonzero(non_dominated(F))
    assert len(chosen) == min(k, len(front))
    assert len(set(chosen.tolist())) == len(chosen)
    assert set(chosen.tolist()) <= set(front.tolist())
    for step, index in enumerate(chosen):
        before = F[chosen[:step]]
        gains = [hypervolume(np.concatenate((before, F[[i]])), reference) for i in front]
        assert gains[list(front).index(index)] == pytest.approx(max(gains), abs=1e-12)


@pytest.mark.parametrize("num_objectives", [2, 3])
def test_best_k_spread_over_a_crowded_front(num_objectives):
    """Neighbours of what was chosen add little, however much they would have added alone."""
    F = np.abs(np.random.default_rng(0).standard_normal((60, num_objectives)))
    F = 1.0 - F / np.linalg.norm(F, axis=1, keepdims=True)
    reference, greedy = np.ones(num_objectives), []
    for _ in range(8):
        volumes = [hypervolume(F[[*greedy, i]], reference) for i in range(len(F))]
        greedy.append(int(np.argmax(volumes)))
    assert select_best_k(F, reference, 8).tolist() == greedy


@given(point_sets(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_and_dominated_company_do_not_matter(F, random):
    reference = np.full(F.shape[1], 1.25)
    order = list(range(len(F)))
    random.shuffle(order)
    assert hypervolume(F[order], reference) == pytest.approx(hypervolume(F, reference), abs=1e-12)
    worse = np.concatenate((F, F + 0.1))
    assert hypervolume(worse, reference) == pytest.approx(hypervolume(F, reference), abs=1e-12)


def test_nan_and_bad_shapes_are_refused():
    bad = np.array([[0.0, np.nan]])
    for function in (non_dominated, front_ranks, crowding):
        with pytest.raises(ValueError, match="NaN"):
            function(bad)
    with pytest.raises(ValueError, match="NaN"):
        hypervolume(bad, [1, 1])
    with pytest.raises(ValueError, match="NaN"):
        IncrementalHypervolume([1, 1]).add([np.nan, 0])
    with pytest.raises(ValueError, match="shape"):
        non_dominated(np.zeros(3))
    with pytest.raises(ValueError, match="reference"):
        hypervolume(np.zeros((1, 2)), [1.0])
    with pytest.raises(ValueError, match="reference"):
        hypervolume(np.zeros((1, 2)), [1.0, np.inf])


def test_infinite_points_take_part_in_dominance():
    F = np.array([[0.0, np.inf], [1.0, 1.0], [np.inf, np.inf]])
    np.testing.assert_array_equal(non_dominated(F), [True, True, False])
    assert hypervolume(F, [2.0, 2.0]) == 1.0


def test_points_outside_the_reference_fill_the_selection_last():
    F = np.array([[0.0, 5.0], [0.5, 0.5], [5.0, 0.0]])
    assert select_best_k(F, [1.0, 1.0], 2)[0] == 1
    assert sorted(select_best_k(F, [1.0, 1.0], 3).tolist()) == [0, 1, 2]
    outside = np.array(
        [[2.0, 9.0], [3.0, 8.0], [3.1, 7.9], [6.0, 5.0], [9.0, 2.0]]
    )  # the ends first, then who has room
    assert select_best_k(outside, [1.0, 1.0], 5).tolist()[:3] == [0, 4, 3]


def test_a_million_points_in_three_objectives_within_a_second():
    F = np.random.default_rng(0).random((1_000_000, 3))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        mask = non_dominated(F)
        seconds.append(time.perf_counter() - start)
    assert 50 < mask.sum() < 250
    assert min(seconds) < 1.0
