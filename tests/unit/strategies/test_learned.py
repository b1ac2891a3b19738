"""Networks, policies and partitions inside strategies, against finite differences and planted answers."""

import numpy as np
import pytest

from nas_service.methods.strategies.base import Evaluation
from nas_service.methods.strategies.boshnas import Surrogates, minimise_input
from nas_service.methods.strategies.lamoo import Border, Region
from nas_service.methods.strategies.linas import Predictors
from nas_service.methods.strategies.mlp import Adam, Mlp
from nas_service.methods.strategies.policy import RecurrentPolicy, TabularPolicy
from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.strategy_contract import Runner, make_problem
from tests.contracts.tree_space import conditional_space, flat_space


def slopes(function, array, step=1e-5):
    """Central differences of a scalar function by every entry of ``array``, which is changed and put back."""
    result = np.empty_like(array)
    for at in np.ndindex(*array.shape):
        kept = array[at]
        array[at] = kept + step
        above = function()
        array[at] = kept - step
        result[at] = (above - function()) / (2 * step)
        array[at] = kept
    return result


def planted(genes):
    """Additive with one interaction; best 0."""
    target = np.array([3, 1, 4, 0, 2, 2])
    return (float((genes != target).sum() + 2 * (genes[0] != 3) * (genes[1] != 1)),)


def mean_best(name, count, seeds=range(5), **params):
    kind = STRATEGIES[name]
    best = []
    for seed in seeds:
        runner = Runner(kind(make_problem(flat_space(), 1, seed), kind.Params(**params)), planted)
        best.append(min(e.objectives[0] for e in runner.step(count).finish().history))
    return np.mean(best)


def test_gradients_of_the_network_equal_differences():
    rng = np.random.default_rng(0)
    network, x, y = Mlp((5, 7, 6, 2), rng), rng.random((9, 5)), rng.random((9, 2))
    masks = network.masks(9, 0.3, rng)

    def loss():
        return 0.5 * ((network.forward(x, masks)[0] - y) ** 2).sum()

    out, cache = network.forward(x, masks)
    gradients, at_input = network.backward(cache, out - y)
    for weight, gradient in zip(network.weights, gradients, strict=True):
        np.testing.assert_allclose(gradient, slopes(loss, weight), atol=1e-6)
    np.testing.assert_allclose(at_input, slopes(loss, x), atol=1e-6)


def test_adam_goes_downhill():
    weights = [np.array([3.0, -2.0])]
    adam = Adam(weights, 0.1)
    for _ in range(400):
        adam.step([2 * weights[0]])
    assert np.abs(weights[0]).max() < 1e-2


@pytest.mark.parametrize("kind", [TabularPolicy, RecurrentPolicy])
def test_probabilities_sum_to_one_and_draws_follow_them(kind):
    space = conditional_space()
    rng = np.random.default_rng(1)
    policy = kind(space, rng)
    for weight in policy.weights:
        weight += 0.7 * rng.standard_normal(weight.shape)
    everything = space.enumerate()
    probabilities = np.exp(policy.log_probability(everything))
    assert probabilities.sum() == pytest.approx(1.0)
    drawn = policy.sample(20_000, rng)
    assert space.valid(drawn).all()
    index = {row.tobytes(): i for i, row in enumerate(everything)}
    counts = np.bincount([index[row.tobytes()] for row in drawn], minlength=len(everything))
    deviation = (counts - 20_000 * probabilities) / np.sqrt(20_000 * probabilities * (1 - probabilities) + 1e-9)
    assert (deviation**2).sum() < 1.25 * len(everything)  # about one each; the sum spreads by sqrt(2 x number)


@pytest.mark.parametrize("kind", [TabularPolicy, RecurrentPolicy])
def test_policy_gradients_equal_differences(kind):
    space = conditional_space()
    rng = np.random.default_rng(2)
    policy = kind(space, rng)
    rows = space.sample(4, rng)
    factors = rng.standard_normal(4)
    gradient = policy.gradient(rows, factors, 0.0)
    for weight, found in list(zip(policy.weights, gradient, strict=True))[-6:]:
        expected = slopes(lambda: float((factors * policy.log_probability(rows)).mean()), weight)
        np.testing.assert_allclose(found, expected, atol=1e-7)
    for weight, found in list(zip(policy.weights, gradient, strict=True))[:3]:
        if weight.size < 2_000:
            expected = slopes(lambda: float((factors * policy.log_probability(rows)).mean()), weight)
            np.testing.assert_allclose(found, expected, atol=1e-7)
    assert all(np.abs(found).max() > 0 for found in gradient[:2])


def test_entropy_pulls_a_sharp_policy_back():
    policy = TabularPolicy(flat_space(1, 4), np.random.default_rng(0))
    policy.weights[0][:] = [4.0, 0.0, 0.0, 0.0]
    gradient = policy.gradient(np.array([[0]], dtype=np.int16), np.zeros(1), 1.0)[0]
    assert gradient[0] < 0 < gradient[1]


@pytest.mark.parametrize("params", [{}, {"algorithm": "reinforce"}, {"policy": "recurrent", "learning_rate": 0.02}])
def test_the_controller_comes_to_prefer_what_is_good(params):
    kind = STRATEGIES["rl"]
    later, random = [], []
    for seed in range(3):
        runner = Runner(kind(make_problem(flat_space(), 1, seed), kind.Params(**params)), planted, 4).step(300)
        later.append(np.mean([planted(p.genes) for p in runner.proposals[-60:]]))
        random.append(np.mean([planted(p.genes) for p in runner.proposals[:10]]))
    assert np.mean(later) < np.mean(random) - 0.8


def test_what_the_controller_did_not_draw_does_not_move_it():
    kind = STRATEGIES["rl"]
    strategy = kind(make_problem(flat_space(), 1), kind.Params(batch=1))
    before = [weight.copy() for weight in strategy.policy.weights]
    for number, row in enumerate(flat_space().enumerate()[:50]):
        strategy.tell(Evaluation(number, row, planted(row), "succeeded", {"kind": "initial"}))
    for old, new in zip(before, strategy.policy.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_second_order_search_finds_the_bottom_of_a_bent_valley():
    rng = np.random.default_rng(3)
    bottom, bend = np.array([0.2, 0.7, 0.5]), np.array([1.0, 30.0, 0.1])

    def value(x):
        return (bend * (x - bottom) ** 2).sum(axis=1), 2 * bend * (x - bottom)

    found = minimise_input(value, rng.random((6, 3)), rng, steps=300)
    np.testing.assert_allclose(found, np.tile(bottom, (6, 1)), atol=1e-3)
    outside = minimise_input(lambda x: (x.sum(axis=1), np.ones_like(x)), rng.random((2, 3)), rng, steps=60)
    np.testing.assert_allclose(outside, 0.0, atol=1e-9)


def test_the_student_knows_where_the_teacher_doubts():
    rng = np.random.default_rng(4)
    space = flat_space()
    rows = space.sample(300, rng)
    codes = space.encode_one_hot(rows).astype(float)
    scores = np.array([planted(row) for row in rows])
    scores = (scores - scores.mean()) / scores.std()
    model = Surrogates(codes[:100], scores[:100], codes[100:200], 200, rng)
    held = codes[200:]
    repeats = np.mean([model.disagreement(held, rng) for _ in range(10)], axis=0)
    assert np.corrcoef(repeats[:, 0], model.uncertainty(held)[:, 0])[0, 1] > 0.5
    assert np.corrcoef(model.mean.forward(held)[0][:, 0], scores[200:, 0])[0, 1] > 0.8
    point, weights = codes[:2].copy(), np.ones(1)
    _, gradient = model.acquisition(point, weights, 0.5)
    expected = slopes(lambda: float(model.acquisition(point, weights, 0.5)[0].sum()), point)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_a_heavy_weight_asks_for_what_is_good_in_its_objective():
    """Two objectives that pull a code apart: the acquisition goes to the side of the heavier one."""
    x = np.linspace(0, 1, 60)[:, None]
    model = Surrogates(x, np.hstack((x, 1 - x)) * 4 - 2, x, 150, np.random.default_rng(0))
    for weights, low in (((0.95, 0.05), True), ((0.05, 0.95), False)):
        best = float(x[np.argmin(model.acquisition(x, np.array(weights), 0.0)[0]), 0])
        assert (best < 0.25) is low
        assert (best > 0.75) is not low


def test_model_based_strategies_beat_random_search_and_the_ablation():
    random = mean_best("random", 60)
    assert mean_best("boshnas", 60, range(3), epochs=40, steps=8) < random - 0.5
    assert mean_best("linas", 60, range(3), generations=8, population=20) < random - 0.5
    assert mean_best("lamoo", 120) < mean_best("random", 120) - 0.3
    with_model = mean_best("bananas", 60, epochs=40, networks=3)
    assert with_model < random - 0.5
    assert with_model < mean_best("bananas", 60, model=False)


def test_predictors_choose_a_kernel_and_order_the_rest():
    rng = np.random.default_rng(5)
    space = flat_space()
    rows = np.unique(space.sample(300, rng), axis=0)
    rng.shuffle(rows)
    values = np.array([[planted(row)[0], -float(row.sum())] for row in rows])
    predict = Predictors(make_problem(space), rows[:150], values[:150])
    predicted = predict(rows[150:])
    for j in range(2):
        assert np.corrcoef(predicted[:, j], values[150:, j])[0, 1] > 0.85
    exact = Predictors(make_problem(space, known_cost=True), rows[:150], values[:150])(rows[150:])
    np.testing.assert_array_equal(exact[:, 1], space.costs(rows[150:])["macs"])


def test_a_border_learns_a_region_and_statistics_agree_with_routing():
    rng = np.random.default_rng(6)
    space = flat_space()
    rows = space.sample(400, rng)
    labels = np.where(rows[:, 0] == 3, 1.0, -1.0)
    border = Border.fit(rows[:250], labels[:250])
    assert (border.better(rows[250:]) == (labels[250:] > 0)).mean() > 0.9
    root = Region(rows[:200], np.array([planted(row) for row in rows[:200]]) / 8)
    root.split(10, 6)
    waiting, leaves = [root], 0
    while waiting:
        region = waiting.pop()
        if region.border is None:
            leaves += 1
            continue
        side = region.border.better(region.genes)
        np.testing.assert_array_equal(region.genes[side], region.better.genes)
        assert max(region.better.value, region.worse.value) == pytest.approx(region.value)
        waiting += [region.better, region.worse]
    assert leaves > 4
