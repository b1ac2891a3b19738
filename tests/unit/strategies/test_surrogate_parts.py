"""The model, its scale, the features and the acquisition against what can be computed another way."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from nas_service.domain.pareto import hypervolume, non_dominated
from nas_service.methods.strategies.encoding import Encoder
from nas_service.methods.strategies.gaussian_process import GaussianProcess
from nas_service.methods.strategies.improvement import Belief, expected_improvement
from nas_service.methods.strategies.objective_scale import ObjectiveScale
from search_spaces.library_index import load_library
from search_spaces.views.influence import has_zeros, influence
from tests.contracts.tree_space import TreeGene, TreeSpace, conditional_space, flat_space


@pytest.mark.parametrize("m", [1, 2])
def test_expected_improvement_equals_simulation(m):
    rng = np.random.default_rng(m)
    front = rng.random((12, m))
    front = front[non_dominated(front)]
    reference = np.full(m, 1.1)
    mean, std = rng.random((4, m)), 0.2 * rng.random((4, m)) + 0.02
    scales = [ObjectiveScale(0.1, 0.6)] * m
    beliefs = [Belief(mean[:, j], std[:, j], scales[j]) for j in range(m)]
    base = hypervolume(front, reference)
    for i, value in enumerate(expected_improvement(beliefs, front, reference, rng)):
        draws = scales[0].back(mean[i] + std[i] * rng.standard_normal((4_000, m)))
        gains = [hypervolume(np.vstack([front, draw]), reference) - base for draw in draws]
        assert value == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(len(gains)) + 1e-6)


@pytest.mark.parametrize("m", [2, 3])
def test_gain_of_known_objectives_orders_like_the_hypervolume(m):
    rng = np.random.default_rng(5)
    front = rng.random((20, m))
    front = front[non_dominated(front)]
    rows = rng.random((40, m)) * 0.8
    exact = [hypervolume(np.vstack([front, c]), np.ones(m)) - hypervolume(front, np.ones(m)) for c in rows]
    beliefs = [Belief(rows[:, j], np.zeros(40)) for j in range(m)]
    found = expected_improvement(beliefs, front, np.ones(m), rng)
    assert np.corrcoef(exact, found)[0, 1] > (0.9 if m > 2 else 0.999999)


def table_problem(space, rng):
    genes = space.enumerate()
    genes = genes[rng.choice(len(genes), 260, replace=False)]
    table = rng.standard_normal((6, 6))
    values = table[genes[:, 0], genes[:, 1]] + genes[:, 2] + 0.1 * rng.standard_normal(len(genes))
    return genes, (values - values.mean()) / values.std()


def test_model_learns_interactions_and_knows_what_it_knows():
    rng = np.random.default_rng(0)
    space = flat_space(5, 4)
    genes, values = table_problem(space, rng)
    encoder = Encoder(space)
    train, rest = encoder(genes[:120]), encoder(genes[120:])
    model = GaussianProcess(encoder.columns)
    model.fit(train, values[:120])
    model.condition(train, values[:120], encoder(genes[:0]))
    mean, std = model.predict(rest)
    assert np.corrcoef(mean, values[120:])[0, 1] > 0.9
    assert 0.5 < np.sqrt((((mean - values[120:]) / std) ** 2).mean()) < 2.0
    np.testing.assert_allclose(model.mean(rest), mean, atol=1e-9)
    model.condition(train, values[:120], rest)
    same_mean, smaller = model.predict(rest)
    np.testing.assert_allclose(same_mean, mean, atol=1e-9)
    assert (smaller <= std + 1e-9).all()
    assert (smaller < std).any()


@pytest.mark.parametrize("make_space", [flat_space, conditional_space])
def test_gradient_of_the_fit(make_space):
    rng = np.random.default_rng(1)
    space = make_space()
    encoder = Encoder(space)
    x = encoder(np.unique(space.sample(30, rng), axis=0))
    values = rng.standard_normal(len(x))
    model = GaussianProcess(encoder.columns)
    theta = model.theta + 0.1 * rng.standard_normal(len(model.theta))
    expected = approx_fprime(theta, lambda t: model.loss(t, x, values)[0], 1e-6)
    np.testing.assert_allclose(model.loss(theta, x, values)[1], expected, atol=1e-3)


def test_one_place_teaches_the_others_what_an_option_does():
    """Option 0 is seen at three of four places only; its effect at the fourth is foretold."""
    rng = np.random.default_rng(2)
    space = flat_space(4, 3)
    genes = space.enumerate()
    values = -2.0 * (genes == 0).sum(axis=1) + 0.05 * rng.standard_normal(len(genes))
    values = (values - values.mean()) / values.std()
    hidden = genes[:, 3] == 0
    encoder = Encoder(space)
    model = GaussianProcess(encoder.columns)
    model.fit(encoder(genes[~hidden]), values[~hidden])
    model.condition(encoder(genes[~hidden]), values[~hidden], encoder(genes[:0]))
    assert np.corrcoef(model.mean(encoder(genes[hidden])), values[hidden])[0, 1] > 0.9
    assert np.abs(model.mean(encoder(genes[hidden])) - values[hidden]).mean() < 0.5


def test_scale_goes_there_and_back_whatever_the_unit():
    values = np.array([3.0, 1.0, 2.0, 2.0, 1e9])
    scale = ObjectiveScale.of(values, values.min())
    scaled = scale.to(values)
    np.testing.assert_array_equal(np.argsort(scaled, kind="stable"), [1, 2, 3, 0, 4])
    np.testing.assert_allclose(ObjectiveScale.of(1e-6 * values - 7, -7).to(1e-6 * values - 7), scaled, rtol=1e-6)
    np.testing.assert_allclose(scale.back(scaled[:4]), values[:4])
    assert scale.back(np.array([-0.5]))[0] < 1.0
    assert ObjectiveScale.of(np.ones(3), 1.0).to(np.ones(3)).tolist() == [0.0, 0.0, 0.0]
    far = ObjectiveScale.of(values, 900.0)  # what counts is not cut off
    np.testing.assert_allclose(far.back(far.to(np.array([900.0]))), 900.0)


def live_by_hand(row, none):
    """Edges of a four-node cell that carry something from the input to the output."""
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    open_ = [edge for edge, option in zip(edges, row, strict=True) if option != none]
    reached, reaching = {0}, {3}
    for _ in range(3):
        reached |= {b for a, b in open_ if a in reached}
        reaching |= {a for a, b in open_ if b in reaching}
    keeps = [o != none and a in reached and b in reaching for (a, b), o in zip(edges, row, strict=True)]
    return [int(o) if keep else -1 for o, keep in zip(row, keeps, strict=True)]


def test_dead_edges_of_cells_are_found():
    space = load_library("nasbench201-cell")
    none = space.genes[0].options.index("none")
    genes = space.sample(200, np.random.default_rng(0))
    found = influence(space, genes)
    assert found.live.tolist() == [live_by_hand(row, none) for row in genes]
    assert (found.live != genes).any()
    assert found.shape.shape == (200, 5)
    assert has_zeros(space)
    assert not has_zeros(load_library("nats-size"))


def test_shape_of_a_cell():
    space = load_library("nasbench201-cell")
    option = space.genes[0].options.index

    def shape(*ops):
        return influence(space, np.array([[option(op) for op in ops]], dtype=np.int16)).shape[0]

    conv, skip, none = "nor_conv_3x3", "skip_connect", "none"
    chain = shape(conv, none, conv, none, none, conv)
    parallel = shape(conv, none, conv, skip, none, conv)
    assert chain[0] - shape(skip, none, skip, none, none, skip)[0] == 15 * 3
    assert chain[0] == chain[1] == pytest.approx(chain[2])
    assert parallel[0] == chain[0]
    assert parallel[1] == chain[1] - 45
    assert parallel[3] - chain[3] == pytest.approx(15 * np.log(2))
    assert shape(conv, none, none, none, none, none)[0] < chain[0]


def test_genes_with_equal_options_are_one_group():
    same, other = TreeGene("a", ("x", "y")), TreeGene("b", (1, 2, 3), True)
    encoder = Encoder(TreeSpace([same, TreeGene("c", ("x", "y")), other]))
    assert encoder.columns.groups == (0, 0, 1)
    assert encoder.columns.parts == ((0, 1),)
    cell = Encoder(load_library("nasbench201-cell"))
    assert cell.columns.groups == (0,) * 12
