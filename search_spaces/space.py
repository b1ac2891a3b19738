"""The compiled search space: what a document means, with every operation strategies and workers need."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.compiling.compiler import compile_document
from search_spaces.compiling.program import Gene, IncompleteError, Program
from search_spaces.counting import feasible, ranking
from search_spaces.counting.counter import Counter
from search_spaces.counting.operators import Operators
from search_spaces.errors import Problem, SpaceError, did_you_mean, pointer_of
from search_spaces.interpreting import checking
from search_spaces.interpreting.batch_costs import batch_costs
from search_spaces.interpreting.envelopes import envelopes_of, widest_params
from search_spaces.interpreting.machine import Machine
from search_spaces.interpreting.resolve import resolve_network
from search_spaces.language.binding import bind_document, is_bound
from search_spaces.language.document import Document, parse_document
from search_spaces.network import Envelope, Network
from search_spaces.views import cell_encodings
from search_spaces.views.describe import outline_of
from search_spaces.views.equivalence import Rule, equivalence_key

__all__ = ["Architecture", "Gene", "SearchSpace"]

CHUNK = 8_192
COST_NAMES = ("macs", "params", "activations", "peak_activation_bytes")


class SearchSpace:
    """Immutable compiled space; gene matrices are int16 (n, G) with -1 for inactive genes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.name = document.name
        self.id = "spc_" + hashlib.sha256(document.canonical_json.encode()).hexdigest()[:32]
        self._scales = tuple(document.to_json().get("scale") or ()) or ("search", "final")
        self._program_of = functools.lru_cache(maxsize=8)(self._compile)
        try:
            self.program = self._program_of("search")
        except IncompleteError as error:
            raise SpaceError(checking.with_problems_of_rest(error)) from None
        self.genes: tuple[Gene, ...] = self.program.genes
        self._counter = Counter(self.program)
        self._operators = Operators(self._counter)
        self.cardinality: int = self._counter.cardinality
        self.is_bound: bool = is_bound(document)
        self._check()

    @staticmethod
    def from_document(document: Document | dict[str, Any] | str) -> SearchSpace:
        """Compiles a document (model, plain data or text). Raises SpaceError with every problem found."""
        return SearchSpace(document if isinstance(document, Document) else parse_document(document))

    def bind(self, classes: int | None = None, input: Mapping[str, int] | None = None) -> SearchSpace:
        """The space with `data` entries replaced by a data set's numbers; itself when nothing changes.

        Raises SpaceError where the document fixes something that the data set contradicts.
        """
        bound = bind_document(self.document, classes, input or {})
        return self if bound is None else SearchSpace.from_document(bound)

    # --- sampling and variation ------------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """int16 (n, G), uniform over canonical assignments (not over raw genes)."""
        return self._counter.sample(n, rng)

    def canonical(self, genes: np.ndarray) -> np.ndarray:
        """Inactive genes to -1, active ones without an option to their first option."""
        return self._counter.canonical(self._matrix(genes)).reshape(np.shape(genes))

    def valid(self, genes: np.ndarray) -> np.ndarray:
        """Bool (n,): options in range, inactive genes exactly -1, constraints met."""
        matrix = np.asarray(genes)
        matrix = matrix[None, :] if matrix.ndim == 1 else matrix
        sizes = self._operators.sizes
        if matrix.ndim != 2 or matrix.shape[1] != len(sizes):
            return np.zeros(len(matrix), dtype=bool)
        inside = np.atleast_1d(((matrix >= -1) & (matrix < sizes)).all(axis=1))
        safe = np.where(inside[:, None], matrix, 0).astype(np.int16)
        canonical = self._counter.canonical(safe)
        same = np.asarray((canonical == safe).all(axis=1))
        return np.asarray(inside & same & self._counter.satisfied(canonical))

    def mutate(self, genes: np.ndarray, rng: np.random.Generator, num_mutations: int = 1) -> np.ndarray:
        """Children (n, G): valid, each different from its parent; newly active genes are drawn."""
        return self._operators.mutate(self._matrix(genes), rng, num_mutations).reshape(np.shape(genes))

    def crossover(self, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Children (n, G): each gene from either parent, repaired to valid."""
        return self._operators.crossover(self._matrix(a), self._matrix(b), rng).reshape(np.shape(a))

    def neighbours(self, genes: np.ndarray) -> np.ndarray:
        """All valid single-gene changes of (G,), as (m, G)."""
        return self._operators.neighbours(np.asarray(genes))

    def enumerate(self, limit: int = 100_000) -> np.ndarray:
        """Every architecture once, (N, G). Raises SpaceError when there are more than `limit`."""
        return ranking.members(self._counter, limit)

    def rank(self, genes: np.ndarray) -> list[int]:
        """The numbers of architectures (n, G): a bijection with 0 .. cardinality - 1. Raises SpaceError for others."""
        matrix = self._matrix(genes)
        if not self.valid(matrix).all():
            raise SpaceError("", "genes", "the genes are not a member of the space", "use canonical()")
        return ranking.rank(self._counter, matrix)

    def unrank(self, indices: Sequence[int]) -> np.ndarray:
        """int16 (n, G): the architectures of n numbers. Raises SpaceError for numbers the space does not have."""
        return ranking.unrank(self._counter, indices)

    def sample_feasible(
        self,
        n: int,
        rng: np.random.Generator,
        bounds: Mapping[str, tuple[float | None, float | None]],
        scale: str = "search",
    ) -> np.ndarray:
        """Up to n architectures that all meet the cost bounds; see `search_spaces.counting.feasible` for the method."""
        names = tuple(bounds) or COST_NAMES[:1]
        anchors = np.concatenate([self.smallest()[None], self.largest()[None], self.uniform_scaling(8)])
        return feasible.sample_feasible(
            self._operators, lambda genes: self.costs(genes, scale, names), anchors, n, rng, bounds
        )

    @property
    def idle_constraints(self) -> list[tuple[str, str]]:
        """Pointers and texts of the constraints that exclude nothing."""
        return self._counter.idle

    # --- landmarks -------------------------------------------------------------------------------------

    def _scaled(self, positions: np.ndarray) -> np.ndarray:
        sizes = self._operators.sizes
        ordered = np.array([gene.ordered for gene in self.genes], dtype=bool)
        wanted = np.rint(positions[:, None] * (sizes - 1)[None, :]) * ordered[None, :]
        genes = self._counter.canonical(wanted.astype(np.int16), wanted.astype(np.int16))
        bad = ~self._counter.satisfied(genes)
        if bad.any():
            genes[bad] = self._counter.repair(wanted[bad].astype(np.int16))
        return genes

    def largest(self) -> np.ndarray:
        """(G,): every ordered gene at its last option, unordered ones at their first (repaired to valid)."""
        return self._scaled(np.ones(1))[0]

    def smallest(self) -> np.ndarray:
        """(G,): every gene at its first option (repaired to valid)."""
        return self._scaled(np.zeros(1))[0]

    def uniform_scaling(self, k: int) -> np.ndarray:
        """(<= k, G): all ordered genes at one relative position, k positions from first to last, deduplicated."""
        genes = self._scaled(np.linspace(0.0, 1.0, max(k, 1)))
        _, first = np.unique(genes, axis=0, return_index=True)
        return genes[np.sort(first)]

    # --- encodings -------------------------------------------------------------------------------------

    def encode_one_hot(self, genes: np.ndarray) -> np.ndarray:
        """float32 (n, D): one column per option; an inactive gene has zeros in all its columns."""
        matrix = self._matrix(genes)
        parts = [matrix[:, [gene]] == np.arange(size) for gene, size in enumerate(self._operators.sizes)]
        return np.concatenate(parts, axis=1).astype(np.float32) if parts else np.zeros((len(matrix), 0), np.float32)

    def encode_ordinal(self, genes: np.ndarray) -> np.ndarray:
        """float32 (n, G) in [0, 1]: option position over the last position; -1 for inactive genes."""
        matrix = self._matrix(genes).astype(np.float32)
        scaled = matrix / np.maximum(self._operators.sizes - 1, 1).astype(np.float32)
        return np.where(matrix < 0, np.float32(-1.0), scaled).astype(np.float32)

    def encode_adjacency(self, genes: np.ndarray) -> np.ndarray:
        """float32 (n, D): which node of each cell reads which, and one column per option of its other choices."""
        return cell_encodings.adjacency(self.program, self._matrix(genes), self.encode_one_hot(genes))

    def encode_path(self, genes: np.ndarray) -> np.ndarray:
        """float32 (n, D): which sequences of operations lead from input to output of each cell."""
        return cell_encodings.paths(self.program, self._matrix(genes))

    # --- architectures ---------------------------------------------------------------------------------

    def architecture(self, genes: np.ndarray) -> Architecture:
        """The architecture of valid genes (G,). Raises SpaceError for invalid genes."""
        row = self._member(genes)
        choices = {
            gene.name: gene.options[int(option)] for gene, option in zip(self.genes, row, strict=True) if option >= 0
        }
        return Architecture(self.id, dict(sorted(choices.items())))

    def genes_of(self, architecture_choices: Mapping[str, Any]) -> np.ndarray:
        """(G,) of an architecture's choices. Raises SpaceError naming unknown, missing, inactive or wrong choices."""
        problems: list[Problem] = []
        names = {gene.name: position for position, gene in enumerate(self.genes)}
        row = np.full(len(self.genes), -1, dtype=np.int16)
        for name, value in architecture_choices.items():
            at = pointer_of(name)
            if name not in names:
                problems.append(Problem(at, "choice", f"no choice '{name}'", did_you_mean(name, names)))
                continue
            options = self.genes[names[name]].options
            typed, wanted = [(isinstance(option, bool), option) for option in options], (isinstance(value, bool), value)
            if wanted in typed:  # True == 1, but an option is one of them
                row[names[name]] = typed.index(wanted)
            else:
                shown = ", ".join(map(str, options[:12]))
                problems.append(Problem(at, "option", f"{value!r} is no option", f"options: {shown}"))
        problems = problems or self._problems_of(row)
        if problems:
            raise SpaceError(problems)
        return row

    def _problems_of(self, row: np.ndarray) -> list[Problem]:
        """Why genes (G,), each an option or -1, are no member of the space: choices first, else constraints."""
        problems: list[Problem] = []
        for gene, given, needed in zip(self.genes, row, self._counter.canonical(row[None])[0], strict=True):
            at = pointer_of(gene.name)
            if given < 0 <= needed:
                problems.append(Problem(at, "missing", f"'{gene.name}' needs a choice"))
            elif needed < 0 <= given:
                problems.append(Problem(at, "inactive", f"'{gene.name}' does not exist here", "leave it out"))
        if problems or self._counter.satisfied(row[None])[0]:
            return problems
        machine = Machine(self.program, row, with_cost=False)
        broken = [constraint.text for constraint in self.program.constraints if not constraint.holds(machine)]
        return [Problem("", "constraint", "violates " + "; ".join(dict.fromkeys(broken)))]

    # --- networks and costs ----------------------------------------------------------------------------

    def program_at(self, scale: str) -> Program:
        """The compiled program at a scale. Raises SpaceError for an unknown scale."""
        if scale not in self._scales:
            raise SpaceError("/scale", "scale", f"no scale '{scale}'", did_you_mean(scale, self._scales))
        return self._program_of(scale)

    def _compile(self, scale: str) -> Program:
        program = compile_document(self.document, scale)
        if scale == "search" or program.genes == self.program.genes:
            return program
        places = {gene: place for place, gene in enumerate(self.program.genes)}
        if set(program.genes) != set(places):
            raise SpaceError(
                "/scale", "scale", f"the scale '{scale}' has other choices than 'search'",
                "share choices that are inside scaled repeats with let",
            )  # fmt: skip
        return replace(program, columns=tuple(places[gene] for gene in program.genes))

    def costs(
        self, genes: np.ndarray, scale: str = "search", names: Sequence[str] = COST_NAMES
    ) -> dict[str, np.ndarray]:
        """int64 (n,) for each of `names` (the peak takes longest), exactly as `resolve(...).cost()`.

        Raises SpaceError for an unknown scale or cost.
        """
        for name in names:
            if name not in COST_NAMES:
                raise SpaceError("", "metric", f"'{name}' is no cost", did_you_mean(name, COST_NAMES))
        program = self.program_at(scale)
        matrix = self._matrix(genes)
        parts = []
        for start in range(0, len(matrix), CHUNK):
            rows = matrix[start : start + CHUNK]
            machine = Machine(program, rows, with_cost=True)
            machine.run()
            parts.append(batch_costs(machine, len(rows), with_peak="peak_activation_bytes" in names))
        if not parts:
            return {name: np.zeros(0, dtype=np.int64) for name in names}
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def resolve(self, genes: np.ndarray, scale: str = "search") -> Network:
        """The concrete network of genes (G,). Raises SpaceError for invalid genes or an unknown scale."""
        row = self._member(genes)
        return resolve_network(self.program_at(scale), row)

    def envelopes(self, scale: str = "search") -> dict[str, Envelope]:
        """Per weight key: every possible value of each parameter and input shape (possibly more, never fewer)."""
        return envelopes_of(self.program_at(scale))

    def supernet_params(self, scale: str = "search") -> int:
        """Parameters of the supernet, about (`envelopes.widest_params`)."""
        return widest_params(self.envelopes(scale).values())

    def equivalence_key(self, genes: np.ndarray, rule: Rule = "algebra") -> str:
        """Key of the computation that genes (G,) stand for; see `search_spaces.views.equivalence` for the rules."""
        return equivalence_key(self.resolve(genes), rule)

    def describe(self, scale: str = "search") -> dict[str, Any]:
        """The space as plain data for drawing: choices and the nested structure of nodes."""
        program = self.program_at(scale)
        genes = [
            {
                "name": gene.name,
                "options": list(gene.options),
                "ordered": gene.ordered,
                "conditional": bool(self.program.guards[position]),
            }
            for position, gene in enumerate(self.genes)
        ]
        nodes = outline_of(program, self.envelopes(scale))
        return {"id": self.id, "name": self.name, "cardinality": str(self.cardinality), "genes": genes, "nodes": nodes}

    # --- internals -------------------------------------------------------------------------------------

    def _matrix(self, genes: np.ndarray) -> np.ndarray:
        """int16 (n, G) of genes (n, G) or (G,)."""
        matrix = np.asarray(genes)
        matrix = matrix[None, :] if matrix.ndim == 1 else matrix
        if matrix.ndim != 2 or matrix.shape[1] != len(self.genes):
            raise SpaceError("", "genes", f"a gene matrix of this space has {len(self.genes)} columns")
        return matrix.astype(np.int16, copy=False)

    def _member(self, genes: np.ndarray) -> np.ndarray:
        """Genes (G,) as they are. Raises SpaceError where they are none of the space."""
        row = np.asarray(genes)
        if row.ndim != 1 or not self.valid(row).all():
            raise SpaceError("", "genes", "the genes are not a member of the space", "use canonical()")
        return row

    def _check(self) -> None:
        landmarks = np.stack([self.largest(), self.smallest()])
        problems = checking.problems_of(self.program, self._operators, landmarks)
        if problems:
            raise SpaceError(problems)
