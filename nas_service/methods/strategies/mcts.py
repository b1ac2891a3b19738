"""Monte-Carlo tree search over the choices (DeepArchitect: Negrinho and Gordon 2017; UCT: Kocsis and Szepesvari 2006).

A node is a prefix of decisions in the order of the genes; inactive genes are no decisions, so conditional spaces are
trees by nature. Restructuring: an ordered choice becomes a sequence of halvings, so that neighbouring values share what
was learned. Departures: with several objectives the reward is a rank; pending trials count as visits without reward
(virtual loss); prefixes of which everything is told are closed, where the original evaluates them again for ever.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from nas_service.domain.pareto import hypervolume
from nas_service.methods.strategies.archive import Archive
from nas_service.methods.strategies.base import (
    Evaluation,
    Genes,
    Problem,
    Proposal,
    StrategyParams,
    generator,
    key_of,
)
from nas_service.methods.strategies.starting import StartingStrategy

_ROLLOUTS = 16
_SMALL_SUBTREE = 512
_BANS = 8
_FRONT = 100
_REFERENCE = 1.1


class MctsParams(StrategyParams):
    """Parameters of ``mcts``."""

    initial: int = Field(10, ge=1, le=10_000, description="Random architectures before the tree is walked.")
    exploration: float = Field(
        0.25, ge=0, le=10, description="Weight of what was tried less often; rewards lie between 0 and 1."
    )
    bisection: bool = Field(True, description="Split ordered choices into halvings, so that neighbours share visits.")
    reward: Literal["pareto", "hypervolume"] = Field(
        "pareto",
        description="Pareto: share of earlier results that do not dominate; hypervolume: the share of its own volume "
        "that the front did not cover.",
    )


class Node:
    """Statistics of one prefix; ``closed`` when everything below is told or breaks a constraint."""

    __slots__ = ("children", "closed", "total", "visits")

    def __init__(self) -> None:
        self.visits = 0
        self.total = 0.0
        self.children: dict[int, Node] = {}
        self.closed = False


class Position:
    """A prefix as genes: all before ``gene`` is decided, of ``gene`` the options from ``low`` to below ``high``."""

    def __init__(self, row: Genes, gene: int, low: int, high: int) -> None:
        self.row, self.gene, self.low, self.high = row, gene, low, high


class Mcts(StartingStrategy):
    """Selection by upper confidence bounds, one new node per told trial, random completion below the tree."""

    name = "mcts"
    help = "Tree search over the choices; for spaces with many conditional or ordered choices. Weak on unordered ones."
    Params = MctsParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.num_starts = self.params.initial
        self._archive = Archive(problem.num_objectives)
        self._root = Node()
        self._sizes = [len(gene.options) for gene in problem.space.genes]
        self._halved = [self.params.bisection and gene.ordered for gene in problem.space.genes]

    @property
    def ready(self) -> bool:
        return len(self._archive) > 0

    def learn(self, evaluation: Evaluation) -> None:
        reward = 0.0
        if evaluation.objectives is not None and evaluation.status == "succeeded":
            reward = self._reward(evaluation.objectives)
            self._archive.add(evaluation)
        node = self._root
        node.visits += 1
        node.total += reward
        for option in self._path(evaluation.genes):
            node = node.children.setdefault(option, Node())
            new = node.visits == 0
            node.visits += 1
            node.total += reward
            if new:
                break

    def _reward(self, objectives: tuple[float, ...]) -> float:
        front = self._archive.objectives[self._archive.front[-_FRONT:]]
        if self.params.reward == "pareto" or not len(front):
            return self._archive.rank_reward(objectives)
        low, span = front.min(axis=0), np.ptp(front, axis=0)
        span = np.where(span > 0, span, 1.0)
        front, new = (front - low) / span, (np.array([objectives]) - low) / span
        reference = np.full(front.shape[1], _REFERENCE)
        own = hypervolume(new, reference)
        gain = hypervolume(np.vstack([front, new]), reference) - hypervolume(front, reference)
        return gain / own if own > 0 else 0.0

    def _path(self, genes: Genes) -> Iterator[int]:
        """The decisions that lead to an architecture: option numbers, or 0/1 for the halves of an ordered choice."""
        for gene, option in enumerate(genes):
            low, high = 0, self._sizes[gene]
            if option < 0 or high == 1:
                continue
            if not self._halved[gene]:
                yield int(option)
                continue
            while high - low > 1:
                middle = (low + high) // 2
                upper = int(option) >= middle
                yield int(upper)
                low, high = (middle, high) if upper else (low, middle)

    def _advance(self, row: Genes, gene: int) -> Position | None:
        """The next open decision from ``gene`` on; choices without alternative are taken. None at the end."""
        # Conditions look at earlier genes alone: up to the next decision the filled row is the prefix itself.
        filled = self.problem.space.canonical(row)
        for j in range(gene, len(self._sizes)):
            if filled[j] >= 0 and self._sizes[j] > 1:
                prefix = filled.copy()
                prefix[j:] = -1
                return Position(prefix, j, 0, self._sizes[j])
        return None

    def _options(self, at: Position) -> list[tuple[int, int, int]]:
        """(option, low, high) of each way on."""
        if not self._halved[at.gene]:
            return [(option, option, option + 1) for option in range(at.low, at.high)]
        middle = (at.low + at.high) // 2
        return [(0, at.low, middle), (1, middle, at.high)]

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        taken = self.candidates.taken(pending)
        waiting = self._waiting(pending)
        noise = generator(self.problem.seed, number).random(max(self._sizes, default=1))
        shut: set[Node] = set()
        bans = 0
        while bans < _BANS and not self._root.closed and self._root not in shut:
            found = self._walk(waiting, noise, shut)
            if found is None:
                continue
            node, at = found
            genes = self._roll_out(number, at, taken)
            if genes is not None:
                return Proposal(genes, {"kind": "tree"})
            below = self._below(at)
            if below is None:
                bans += 1
            elif all(key_of(row) in self.seen for row in below):
                node.closed = True
            shut.add(node)
        return None

    def _waiting(self, pending: Sequence[Genes]) -> Counter[Node]:
        """Visits without reward (yet) of the nodes on the way to pending architectures."""
        counts: Counter[Node] = Counter()
        for genes in pending:
            node = self._root
            counts[node] += 1
            for option in self._path(genes):
                node = node.children.setdefault(option, Node())
                counts[node] += 1
                if node.visits + counts[node] == 1:  # the node that this trial will add
                    break
        return counts

    def _walk(self, waiting: Counter[Node], noise: np.ndarray, shut: set[Node]) -> tuple[Node, Position] | None:
        """From the root to a node without visits or decisions, with its prefix; None where it only closed a node."""
        node = self._root
        start = np.full(len(self._sizes), -1, dtype=np.int16)
        here = Position(start, 0, 0, self._sizes[0])
        at = self._advance(start, 0)
        while at is not None:
            chosen = self._select(node, at, waiting, noise, shut)
            if chosen is None:
                # For good if every way on is closed, else only while trials are pending.
                children = [node.children.get(option) for option, _, _ in self._options(at)]
                node.closed = all(child is not None and child.closed for child in children)
                shut.add(node)
                return None
            option, low, high = chosen
            node = node.children.setdefault(option, Node())
            here = Position(at.row, at.gene, low, high)
            if high - low == 1:
                row = at.row.copy()
                row[at.gene] = low
                at = self._advance(row, at.gene + 1)
            else:
                at = here
            if node.visits + waiting[node] == 0:
                break
        return node, here

    def _select(
        self, node: Node, at: Position, waiting: Counter[Node], noise: np.ndarray, shut: set[Node]
    ) -> tuple[int, int, int] | None:
        """The open option with the largest upper confidence bound; ties by ``noise``."""
        best, chosen = -math.inf, None
        log_visits = math.log(max(node.visits + waiting[node], 2))
        for option, low, high in self._options(at):
            child = node.children.get(option)
            if child is not None and (child.closed or child in shut):
                continue
            visits = 0 if child is None else child.visits + waiting[child]
            value = math.inf
            if child is not None and visits:
                value = child.total / visits + self.params.exploration * math.sqrt(2 * log_visits / visits)
            if chosen is None or (value, noise[option]) > (best, noise[chosen[0]]):
                best, chosen = value, (option, low, high)
        return chosen

    def _roll_out(self, number: int, at: Position, taken: set[bytes]) -> Genes | None:
        """A new feasible architecture (G,) with this prefix, the rest at random; None if none was found.

        Each try of one ask draws the same numbers, so that what is already known to be closed changes nothing.
        """
        rng = generator(self.problem.seed, number, 2)
        before = self.candidates.rejected
        for _ in range(2):
            rows = np.tile(at.row, (_ROLLOUTS, 1))
            drawn = (rng.random(rows.shape) * self._sizes).astype(np.int16)
            rows[:, at.gene + 1 :] = drawn[:, at.gene + 1 :]
            rows[:, at.gene] = at.low + (rng.random(_ROLLOUTS) * (at.high - at.low)).astype(np.int16)
            rows = self._members(rows, at)
            new = self.candidates.fresh(rows, taken)
            if len(new):
                return new[0]
        self.candidates.rejected = before
        return None

    def _members(self, rows: Genes, at: Position) -> Genes:
        """The rows that are valid in canonical form and still have the prefix."""
        rows = self.problem.space.canonical(rows)
        kept = (rows[:, : at.gene] == at.row[: at.gene]).all(axis=1) & self.problem.space.valid(rows)
        return rows[kept]

    def _below(self, at: Position) -> Genes | None:
        """All feasible architectures (m, G) with this prefix, None where there are too many to list."""
        rows = np.tile(at.row, (at.high - at.low, 1))
        rows[:, at.gene] = np.arange(at.low, at.high)
        for j in range(at.gene + 1, len(self._sizes)):
            active = self.problem.space.canonical(rows)[:, j] >= 0
            copies = np.where(active, self._sizes[j], 1)
            if copies.sum() > _SMALL_SUBTREE:
                return None
            option = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
            rows = np.repeat(rows, copies, axis=0)
            rows[:, j] = np.where(np.repeat(active, copies), option, -1)
        rows = self._members(rows, at)
        return rows[np.asarray(self.problem.feasible(rows), dtype=bool)] if len(rows) else rows
