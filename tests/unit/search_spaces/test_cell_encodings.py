"""Adjacency and path encodings of cells, and counting of cells up to isomorphism."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search_spaces.errors import SpaceError
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from search_spaces.views.equivalence import equivalence_key
from search_spaces.views.graph_key import graph_key
from tests.unit.search_spaces.builders import conv, space
from tests.unit.search_spaces.test_documents import document

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")


def cells(vertices: int) -> set[str | None]:
    """Keys of all NAS-Bench-101 cells of exactly so many vertices, at most nine edges, each vertex on a path."""
    pairs = list(itertools.combinations(range(vertices), 2))
    keys: set[str | None] = set()
    for edges in itertools.product((False, True), repeat=len(pairs)):
        if sum(edges) > 9:
            continue
        parents: list[list[int]] = [[] for _ in range(vertices)]
        children: list[list[int]] = [[] for _ in range(vertices)]
        for (source, reader), present in zip(pairs, edges, strict=True):
            if present:
                parents[reader].append(source)
                children[source].append(reader)
        if not all(parents[1:]) or not all(children[:-1]):
            continue
        for labels in itertools.product(OPERATIONS, repeat=vertices - 2):
            keys.add(graph_key(parents, ["input", *labels, "output"]))
    return keys


@pytest.mark.parametrize(("vertices", "count"), [(2, 1), (3, 6), (4, 84), (5, 2_441)])
def test_nasbench101_cells_are_counted_as_published(vertices: int, count: int) -> None:
    assert len(cells(vertices)) == count


def test_nasbench101_document_has_the_cells_of_two_to_four_vertices() -> None:
    found = document("nasbench101-four")
    assert found.cardinality == 3**2 * (1 * 3 * 7)
    keys = {equivalence_key(found.resolve(row), "graph") for row in found.enumerate()}
    assert len(keys) == 1 + 6 + 84


def test_relabelled_graphs_have_one_key() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = 7
        above = [[j for j in range(i) if rng.random() < 0.4] or [i - 1] for i in range(1, count)]
        parents, labels = [[], *above], ["in", *rng.choice(OPERATIONS, count - 2).tolist(), "out"]
        order = topological_shuffle(parents, rng)
        place = {vertex: position for position, vertex in enumerate(order)}
        moved = [[place[parent] for parent in parents[vertex]] for vertex in order]
        assert graph_key(moved, [labels[vertex] for vertex in order]) == graph_key(parents, labels)


def topological_shuffle(parents: list[list[int]], rng: np.random.Generator) -> list[int]:
    """A random order of vertices in which every parent comes first; the ends stay."""
    order, left = [0], list(range(1, len(parents) - 1))
    while left:
        ready = [vertex for vertex in left if all(parent in order for parent in parents[vertex])]
        order.append(int(rng.choice(ready)))
        left.remove(order[-1])
    return [*order, len(parents) - 1]


def test_a_graph_without_a_way_through_has_no_key() -> None:
    assert graph_key([[], [0], []], ["in", "conv", "out"]) is None


def test_nasbench201_paths() -> None:
    found = load_library("nasbench201-cell")
    genes = found.enumerate()[::7]
    encoded = found.encode_path(genes)
    assert encoded.shape == (len(genes), 5 + 5**2 + 5**3)
    # edges 03, 01-13, 02-23, 01-12-23: four paths, those of one length may be equal
    assert set(encoded.sum(axis=1).astype(int)) <= {3, 4}
    one_hot = found.encode_one_hot(genes)
    order = {gene.name: position for position, gene in enumerate(found.genes)}
    direct = one_hot[:, 5 * order["cell.e03.op"] : 5 * order["cell.e03.op"] + 5]
    singles = encoded[:, encoded.any(axis=0)]
    assert all((column == singles.T).all(axis=1).any() for column in direct.T)


def test_nasbench101_paths_and_edges() -> None:
    found = document("nasbench101-four")
    genes = found.enumerate()
    assert found.encode_path(genes).shape[1] == 1 + 3 + 9
    adjacency = found.encode_adjacency(genes)
    # two vertices and the output, each behind the node that adds what it reads; three operations twice
    assert adjacency.shape == (len(genes), (1 + 2 + 3 + 4 + 5 + 6) + 6)
    assert len(np.unique(adjacency, axis=0)) == len(genes)
    assert len(np.unique(found.encode_path(genes), axis=0)) < len(genes)


@pytest.mark.parametrize("name", ["nasbench201-cell", "darts-cell", "nasnet-cell"])
def test_encodings_tell_cells_apart_and_do_not_depend_on_the_batch(name: str) -> None:
    found = load_library(name)
    genes = found.sample(60, np.random.default_rng(1))
    for encode in (found.encode_adjacency, found.encode_path):
        together = encode(genes)
        assert together.dtype == np.float32
        assert set(np.unique(together)) <= {0.0, 1.0}
        assert (encode(genes[7:9]) == together[7:9]).all()
    assert len(np.unique(found.encode_adjacency(genes), axis=0)) == len(np.unique(genes, axis=0))


def test_spaces_without_cells_say_so() -> None:
    with pytest.raises(SpaceError) as caught:
        plain().encode_path(plain().enumerate())
    assert caught.value.rule == "encoding"


def plain() -> SearchSpace:
    return space([conv(out={"one_of": [4, 8]})])
