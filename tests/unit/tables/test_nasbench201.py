"""The packaged table against its published facts, and the scale of a true front."""

import numpy as np
import pytest

from nas_service.tables.nasbench201 import DATA_FILE, OPERATIONS, load_nasbench201
from nas_service.tables.true_front import TrueFront
from search_spaces.library_index import load_library

TABLE = load_nasbench201()


@pytest.mark.parametrize(
    ("dataset", "best", "index", "mean"),
    [("cifar10", 94.37, 6111, 87.06), ("cifar100", 73.51, 9930, 61.41), ("imagenet16", 47.31, 857, 33.59)],
)
def test_published_optima(dataset, best, index, mean):
    accuracy = TABLE.columns[f"{dataset}_test_e200"]
    assert accuracy.max() == pytest.approx(best, abs=0.006)
    assert index in TABLE.columns["index"][accuracy == accuracy.max()]
    assert accuracy.mean() == pytest.approx(mean, abs=0.006)


def test_missing_measurements_are_not_numbers():
    assert np.isnan(TABLE.columns["cifar10_edgetpu_latency"]).sum() == 4699
    assert TABLE.columns["cifar10_edgegpu_latency"].min() == pytest.approx(0.50, abs=0.01)
    assert DATA_FILE.stat().st_size < 2_000_000


def test_genes_are_those_of_the_library_space():
    space = load_library("nasbench201-cell")
    assert all(gene.options == OPERATIONS for gene in space.genes)
    assert space.valid(TABLE.genes).all()
    rows = np.random.default_rng(0).permutation(len(TABLE.genes))[:500]
    np.testing.assert_array_equal(TABLE.rows_of(TABLE.genes[rows]), rows)


def test_costs_of_the_space_explain_the_table():
    """More multiply-accumulates cost time: a wrong order of genes or options would break the correlation."""
    space = load_library("nasbench201-cell")
    rows = np.random.default_rng(0).permutation(len(TABLE.genes))[:500]
    macs = space.costs(TABLE.genes[rows])["macs"]
    assert np.corrcoef(macs, TABLE.columns["cifar10_raspi4_latency"][rows])[0, 1] > 0.9


def test_true_front_of_the_published_problem():
    objectives = np.stack(
        [100 - TABLE.columns["cifar100_test_e200"], TABLE.columns["cifar100_edgegpu_latency"]], axis=1
    )
    front = TrueFront(objectives, objectives[:, 0] <= 100 - 73.51 / 2)
    assert front.share(front.points)[-1] == pytest.approx(1.0)
    assert front.igd_plus(objectives) == 0.0
    assert front.igd_plus(objectives[:50]) > 0.0
    assert front.ideal == pytest.approx([26.487, 0.506], abs=0.001)
