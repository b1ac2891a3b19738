"""The model and the acquisition against what can be computed another way."""

import numpy as np
import pytest

from nas_service.domain.pareto import hypervolume, non_dominated
from nas_service.methods.strategies.gaussian_process import GaussianProcess
from nas_service.methods.strategies.improvement import expected_improvement
from nas_service.methods.strategies.surrogate import normal_scores, score_like


@pytest.mark.parametrize("m", [1, 2])
def test_expected_improvement_equals_simulation(m):
    rng = np.random.default_rng(m)
    front = rng.random((12, m))
    front = front[non_dominated(front)]
    reference = np.full(m, 1.1)
    mean, std = rng.random((4, m)), 0.2 * rng.random((4, m)) + 0.02
    base = hypervolume(front, reference)
    for i, value in enumerate(expected_improvement(mean, std, front, reference, rng)):
        draws = mean[i] + std[i] * rng.standard_normal((4_000, m))
        gains = [hypervolume(np.vstack([front, draw]), reference) - base for draw in draws]
        assert value == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(len(gains)) + 1e-6)


def test_sampled_improvement_orders_like_the_hypervolume():
    rng = np.random.default_rng(5)
    front = rng.random((20, 3))
    front = front[non_dominated(front)]
    candidates = rng.random((40, 3)) * 0.8
    exact = [hypervolume(np.vstack([front, c]), np.ones(3)) - hypervolume(front, np.ones(3)) for c in candidates]
    sampled = expected_improvement(candidates, np.zeros_like(candidates), front, np.ones(3), rng)
    assert np.corrcoef(exact, sampled)[0, 1] > 0.9


def test_model_learns_interactions_and_knows_what_it_knows():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((4, 4))
    genes = rng.integers(-1, 3, size=(260, 5)).astype(np.int16)
    genes = genes[np.sort(np.unique(genes, axis=0, return_index=True)[1])]
    values = table[genes[:, 0] + 1, genes[:, 1] + 1] + genes[:, 2] + 0.1 * rng.standard_normal(len(genes))
    values = (values - values.mean()) / values.std()
    train, rest = slice(0, 120), slice(120, None)
    model = GaussianProcess(5)
    model.fit(genes[train], values[train])
    model.condition(genes[train], values[train], genes[:0])
    mean, std = model.predict(genes[rest])
    assert np.corrcoef(mean, values[rest])[0, 1] > 0.95
    assert 0.5 < np.sqrt((((mean - values[rest]) / std) ** 2).mean()) < 2.0
    model.condition(genes[train], values[train], genes[rest])
    same_mean, smaller = model.predict(genes[rest])
    np.testing.assert_allclose(same_mean, mean, atol=1e-9)
    assert (smaller <= std + 1e-9).all()
    assert (smaller < std).any()


def test_scores_keep_the_order_and_ignore_the_scale():
    values = np.array([3.0, 1.0, 2.0, 2.0, 1e9])
    scores = normal_scores(values)
    np.testing.assert_array_equal(np.argsort(scores, kind="stable"), [1, 2, 3, 0, 4])
    np.testing.assert_allclose(normal_scores(1e-6 * values - 7), scores)
    np.testing.assert_allclose(score_like(values, scores, values), scores)
    assert score_like(values, scores, np.array([0.0]))[0] < scores.min()
