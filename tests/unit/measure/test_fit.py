"""The additive latency model on latencies that follow a known law."""

import numpy as np

from workers.measure.fit import fit_best, held_out_errors


def features_and_latency(n: int, noise: float, seed: int = 0):
    """One-hot features of 12 choices of 3 options; latency = sum of option terms plus a term in a cost."""
    rng = np.random.default_rng(seed)
    options = rng.integers(0, 3, (n, 12))
    one_hot = np.eye(3)[options].reshape(n, 36)
    cost = 1.0 + one_hot @ np.tile([0.0, 0.5, 1.5], 12) + rng.uniform(0, 3, n)
    latency = (0.2 + 0.1 * cost) * np.exp(rng.normal(0, noise, n))
    costs = np.stack([cost, rng.uniform(0, 5, n)], axis=1)
    return {"one_hot": one_hot, "costs": costs, "one_hot_and_costs": np.concatenate([one_hot, costs], axis=1)}, latency


def test_the_right_features_are_chosen_and_predict_new_architectures():
    features, latency = features_and_latency(200, noise=0.01)
    train = slice(0, 32)
    fit = fit_best({kind: matrix[train] for kind, matrix in features.items()}, latency[train], seed=0)
    assert fit.kind == "costs"
    error = np.abs(fit.predict(features[fit.kind][32:]) / latency[32:] - 1)
    assert error.mean() < 0.02
    assert (fit.coefficients_ms >= 0).all()


def test_additive_terms_of_choices_are_found_without_cost_terms():
    rng = np.random.default_rng(1)
    options = rng.integers(0, 3, (300, 8))
    one_hot = np.eye(3)[options].reshape(300, 24)
    latency = 0.3 + one_hot @ rng.uniform(0, 0.2, 24)
    costs = rng.uniform(0, 1, (300, 4))
    train = slice(0, 60)
    fit = fit_best({"one_hot": one_hot[train], "costs": costs[train]}, latency[train], seed=0)
    assert fit.kind == "one_hot"
    assert np.abs(fit.predict(one_hot[60:]) / latency[60:] - 1).max() < 0.01


def test_the_held_out_error_is_that_on_new_architectures():
    """It must neither flatter (as errors on fitted data do) nor exaggerate by much."""
    features, latency = features_and_latency(640, noise=0.1, seed=2)
    train = slice(0, 40)
    # With 36 terms for 40 architectures a fit learns their noise too, which no held-out error may profit from.
    for kinds, least in ((tuple(features), 0.6), (("one_hot",), 0.9)):
        own = {kind: features[kind][train] for kind in kinds}
        report = held_out_errors(own, latency[train], seed=0)
        fit = fit_best(own, latency[train], seed=0)
        new_error = np.abs(fit.predict(features[fit.kind][40:]) / latency[40:] - 1).mean()
        assert least * new_error < report["mape"] < 1.7 * new_error
        assert report["n"] == 40
        assert 0.3 < report["spearman"] <= 1


def test_predictions_stay_positive_and_constant_latencies_do_not_fail():
    features, latency = features_and_latency(32, noise=0.05)
    fit = fit_best(features, latency, seed=0)
    assert fit.predict(np.full((1, features[fit.kind].shape[1]), -1e6)).min() > 0
    report = held_out_errors(features, np.full(32, 0.5), seed=0)
    assert report["mape"] < 1e-6
    assert report["spearman"] is None
