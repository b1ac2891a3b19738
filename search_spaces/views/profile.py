"""Size of a space, the range of its costs, and where the largest network spends them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from search_spaces.blocks.registry import BLOCKS
from search_spaces.network import Network
from search_spaces.space import SearchSpace
from search_spaces.views.describe import kind_of

NUM_STARTS, MAX_STEPS = 256, 64
ENUMERATED = 4_096  # members of a space that is looked through as a whole


def profile_of(space: SearchSpace, num_samples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Exact size, its log10, minimum, median and maximum of every cost, and the most expensive block, as plain data.

    The range is over those with least and most multiply-accumulates and `num_samples` architectures drawn uniformly.
    """
    drawn = space.sample(num_samples, np.random.default_rng(seed))
    ends = [space.smallest(), space.largest(), least_work(space), most_work(space)]
    genes = np.concatenate([ends, drawn])
    return {
        "id": space.id,
        "name": space.name,
        "num_genes": len(space.genes),
        "cardinality": str(space.cardinality),
        "log10_cardinality": log10_of(space.cardinality),
        "costs": {
            name: dict(zip(("minimum", "median", "maximum"), _ends_and_middle(values), strict=True))
            for name, values in space.costs(genes).items()
        },
        "num_sampled": num_samples,
        "most_expensive_block": most_expensive_block(space.resolve(ends[-1])),
    }


def most_work(space: SearchSpace) -> np.ndarray:
    """(G,): the largest member found, by multiply-accumulates, from which one changes choices as long as that adds any.

    `SearchSpace.largest` takes the last option of ordered choices; of the others, such as operations, it cannot know,
    nor how a bound on all layers is best used. Where constraints tie choices together, a larger one may remain unfound.
    """
    return _climbed(space, space.largest(), 1)


def least_work(space: SearchSpace) -> np.ndarray:
    """(G,): the smallest member found, by multiply-accumulates, likewise."""
    return _climbed(space, space.smallest(), -1)


def _climbed(space: SearchSpace, genes: np.ndarray, sign: int) -> np.ndarray:
    """From the best of the genes and some other members by the best changes: of one choice, or of each at once.

    The others are drawn, or all where there are few. Ends where no change helps, at the latest after `MAX_STEPS`.
    """

    def work(members: np.ndarray) -> np.ndarray:
        return sign * space.costs(members, names=("macs",))["macs"]

    small = space.cardinality <= ENUMERATED
    others = space.enumerate() if small else space.sample(NUM_STARTS, np.random.default_rng(0))
    starts = np.concatenate([genes[None], others])
    reached = work(starts)
    genes, found = starts[np.argmax(reached)], reached.max()
    for _ in range(MAX_STEPS):
        around = space.neighbours(genes)
        if not len(around):
            break
        gains = work(around) - found
        together = genes.copy()
        for place in np.argsort(gains[gains > 0], kind="stable"):  # the best change of a choice comes last
            changed = around[gains > 0][place]
            chosen = (changed != genes) & (genes >= 0) & (changed >= 0)
            together[chosen] = changed[chosen]
        tried = np.concatenate([around[[np.argmax(gains)]], space.canonical(together)[None]])
        tried = tried[space.valid(tried)]
        reached = work(tried)
        if reached.max() <= found:
            break
        genes, found = tried[np.argmax(reached)], reached.max()
    return genes


def _ends_and_middle(values: np.ndarray) -> list[int]:
    """Smallest, (lower) median and largest: each is the cost of some architecture."""
    return [int(value) for value in np.quantile(values, (0.0, 0.5, 1.0), method="lower")]


def most_expensive_block(network: Network) -> dict[str, Any]:
    """The node with most multiply-accumulates: its key, what it is, `macs` and their share of the network's."""
    macs = [int(BLOCKS[node.block].cost(node.in_shapes, node.params).macs) for node in network.nodes]
    place = int(np.argmax(macs))
    node = network.nodes[place]
    return {"key": node.key, "block": kind_of(node), "macs": macs[place], "share": macs[place] / max(1, sum(macs))}


def log10_of(size: int) -> float:
    """Decimal logarithm of a cardinality of any length, to two digits."""
    return round(math.log10(size), 2)
