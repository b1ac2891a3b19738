"""Isomorphism of labelled directed acyclic graphs: a key that does not depend on how vertices are numbered.

Vertices that do not lie on a path from the first to the last one are left out. The key is the multiset of vertex
colours after refinement by the colours of parents and children, as NAS-Bench-101 (Ying et al. 2019, arXiv 1902.09635)
tells its cells apart; it separates all cells of that benchmark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from search_spaces.network import Network

_TRANSPARENT = ("identity", "add", "concat")


def graph_key(parents: Sequence[Sequence[int]], labels: Sequence[str]) -> str | None:
    """Key of a graph whose vertex i reads `parents[i]`, all below i; None where the last does not reach the first."""
    count = len(labels)
    reached, needed = [False] * count, [False] * count
    reached[0] = True
    for vertex in range(1, count):
        reached[vertex] = any(reached[parent] for parent in parents[vertex])
    needed[-1] = True
    for vertex in reversed(range(count)):
        if needed[vertex]:
            for parent in parents[vertex]:
                needed[parent] = True
    kept = [vertex for vertex in range(count) if reached[vertex] and needed[vertex]]
    if not reached[-1]:
        return None
    above = {vertex: [parent for parent in parents[vertex] if reached[parent] and needed[parent]] for vertex in kept}
    below: dict[int, list[int]] = {vertex: [] for vertex in kept}
    for vertex in kept:
        for parent in above[vertex]:
            below[parent].append(vertex)
    ends = {kept[0]: "first", kept[-1]: "last"}
    colours = {vertex: f"{ends.get(vertex, '')}|{labels[vertex]}" for vertex in kept}
    distinct = 0
    while len(set(colours.values())) > distinct:
        distinct = len(set(colours.values()))
        colours = {
            vertex: _digest(
                colours[vertex],
                *sorted(colours[parent] for parent in above[vertex]),
                "-",
                *sorted(colours[child] for child in below[vertex]),
            )
            for vertex in kept
        }
    return _digest(*sorted(colours.values()))


def network_graph_key(network: Network) -> str | None:
    """The same for a network, whose identities and joins of a single input are no vertices."""
    place, labels = [0], ["input"]
    parents: list[tuple[int, ...]] = [()]
    for node in network.nodes:
        read = tuple(place[value] for value in node.inputs)
        if node.block in _TRANSPARENT and len(read) == 1 and node is not network.nodes[-1]:
            place.append(read[0])
            continue
        place.append(len(labels))
        parents.append(read)
        labels.append(f"{node.block}{sorted(node.params.items())}")
    return graph_key(parents, labels)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
