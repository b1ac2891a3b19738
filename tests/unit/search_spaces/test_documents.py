"""The acceptance documents of the language and the built-in families, under the contract of every space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import search_spaces
from search_spaces.library_index import LIBRARY, library_text, load_library
from search_spaces.space import SearchSpace
from search_spaces.views.equivalence import equivalence_key
from tests.contracts.space_contract import SpaceContract, compiled

FOLDER = Path(__file__).parent / "documents"
DOCUMENTS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def document(name: str) -> SearchSpace:
    return compiled((FOLDER / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", DOCUMENTS)
class TestDocuments(SpaceContract):
    num_resolved = 4

    @pytest.fixture
    def space(self, name: str) -> SearchSpace:
        return document(name)


@pytest.mark.parametrize("name", LIBRARY)
class TestLibrary(SpaceContract):
    num_resolved = 4

    @pytest.fixture
    def space(self, name: str) -> SearchSpace:
        return compiled(library_text(name))


def per_stage() -> int:
    return sum(9**depth for depth in (2, 3, 4))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("flexibert", 3_317_817_600),
        ("darts-cell", 1_037_664_180),
        ("nasbench201", 15_625),
        ("ofa-mobilenetv3", per_stage() ** 5 * 25),
        ("matformer-gpt", 84),  # non-decreasing sequences of six among four options
        # two cells of five blocks: two inputs among (2 + earlier blocks), ten operations each, two ways to combine
        ("nasnet-cell", ((2 * 3 * 4 * 5 * 6) ** 2 * (10 * 10 * 2) ** 5) ** 2),
    ],
)
def test_published_and_derived_sizes(name: str, size: int) -> None:
    assert document(name).cardinality == size


def test_nasbench201_costs_follow_the_published_closed_form() -> None:
    space = document("nasbench201")
    genes = space.enumerate()
    labels = [list(gene.options) for gene in space.genes]
    threes = sum(genes[:, i] == labels[i].index("nor_conv_3x3") for i in range(6))
    ones = sum(genes[:, i] == labels[i].index("nor_conv_1x1") for i in range(6))
    macs = space.costs(genes[::25])["macs"]
    assert (macs == 7_783_040 + 35_389_440 * threes[::25] + 3_932_160 * ones[::25]).all()


def test_scales_change_the_network_but_not_the_choices() -> None:
    space = document("nasnet-cell")
    genes = space.largest()
    small, large = space.resolve(genes), space.resolve(genes, "cifar")
    assert len(large.nodes) > 2 * len(small.nodes)
    assert space.costs(genes[None], "mobile")["params"] > space.costs(genes[None])["params"]


def test_loose_ends_are_exactly_the_unread_blocks() -> None:
    space = document("darts-cell")
    for row in space.sample(30, np.random.default_rng(0)):
        network = space.resolve(row)
        concat = next(i for i, node in enumerate(network.nodes) if node.block == "concat")
        sums = {i + 1 for i, node in enumerate(network.nodes[:concat]) if node.block == "add"}
        read = {value for node in network.nodes[:concat] for value in node.inputs}
        assert set(network.nodes[concat].inputs) == sums - read


@pytest.mark.slow
def test_nasbench201_equivalence_classes() -> None:
    text = (FOLDER / "nasbench201.yaml").read_text().split("network:\n")[0] + (
        "network:\n  - {use: cell, with: {c: 3}}\n  - {block: image_head, out: '=classes'}\n"
    )
    space = compiled(text)
    genes = space.enumerate()
    networks = [space.resolve(row) for row in genes]
    keys = {
        rule: np.unique([equivalence_key(network, rule) for network in networks], return_inverse=True)[1]
        for rule in ("structure", "skip", "zero", "algebra")
    }
    found = {rule: len(set(classes)) for rule, classes in keys.items()}
    assert found == {"structure": 15_625, "skip": 12_751, "zero": 6_466, "algebra": 4_930}
    # Fifteen such cells in a row fall into the same classes: here two members of each of the largest.
    whole = load_library("nasbench201-cell")
    for rule in ("skip", "zero", "algebra"):
        some = [np.flatnonzero(keys[rule] == large)[:2] for large in np.argsort(-np.bincount(keys[rule]))[:12]]
        pairs = [(keys[rule][row], whole.equivalence_key(genes[row], rule)) for row in np.concatenate(some)]
        assert len(set(pairs)) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) == 12


def test_the_example_of_the_language_page_compiles() -> None:
    page = Path(search_spaces.__file__).with_name("README.md").read_text()
    example = compiled(page.split("```yaml\n")[1].split("```")[0])
    assert example.cardinality == (4 + 4**2 + 4**3) ** 2
    assert not example.is_bound
