"""A search over a table, many trials at a time: ask, look up, tell, with the order of a search done one by one.

Trial k is asked for when exactly the trials below k + 1 - parallelism have been told (more only when the strategy had
to wait for them), as in every search; so where one chunk ends and the next begins changes nothing.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nas_service.domain.front_tracker import FrontTracker
from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.ids import content_key
from nas_service.methods.strategies.base import Evaluation, Exhausted, Genes, Proposal
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.tables.hashes import ArchitectureHasher
from nas_service.tables.lookup import Outcome, TableLookup
from nas_service.tables.table import Table

EVALUATOR_VERSION = "table@1"
_MAX_SHARED_TOKENS = 256


@dataclass
class Chunk:
    """Trials ``first``, ``first`` + 1, ... as equally long lists, and where the search stands after them.

    ``genes`` is base64 of int16 (n, G). ``joined_front`` are numbers of told trials, also of earlier chunks. ``curve``
    has [number of told trials, hypervolume, size of the front] wherever the front changed, and at the end.
    """

    first: int
    genes: str = ""
    architecture_hashes: list[str] = field(default_factory=list)
    evaluation_keys: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    fidelities: list[float] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    costs: list[dict[str, int]] = field(default_factory=list)
    errors: list[dict[str, Any] | None] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    joined_front: list[int] = field(default_factory=list)
    curve: list[tuple[int, float, int]] = field(default_factory=list)
    num_asked: int = 0
    num_told: int = 0
    num_rejected: int = 0
    exhausted: str | None = None
    strategy_state: dict[str, Any] = field(default_factory=dict)
    hypervolume: float = 0.0
    front_size: int = 0
    reference_point: list[float] = field(default_factory=list)
    true_hypervolume: float | None = None


class InlineSearch:
    """A strategy with a table under it, at a known place of its search; the stored trials can always rebuild it."""

    def __init__(self, spec: SearchSpec, table: Table, table_id: str, earlier: Sequence[dict[str, Any]] = ()) -> None:
        """``earlier`` are results of other searches that this one starts from, as ``encode_earlier`` writes them."""
        self.spec = spec
        self.lookup = TableLookup(spec, table)
        kind = STRATEGIES[spec.strategy.name]
        problem = replace(self.lookup.problem(), earlier=decode_earlier(earlier))
        self.strategy = kind(problem, kind.Params.model_validate(spec.strategy.params))
        self.reference_point = self.lookup.reference_point()
        self.front = FrontTracker(self.reference_point)
        self.num_asked = self.num_told = 0
        self.exhausted: str | None = None
        self._hash = ArchitectureHasher(table.space)
        self._identity = [EVALUATOR_VERSION, table_id, _evaluator(spec).replicate]
        self._repeats = RepeatCounter(table)
        self._tokens: dict[str, dict[str, Any]] = {}
        self._window: deque[Evaluation] = deque()

    def restore(self, strategy_state: dict[str, Any] | None, num_told: int, history: dict[str, Any]) -> None:
        """Go to where a search of ``history`` (``encode_history``) stands, of which ``num_told`` trials were told."""
        genes = decode_genes(history["genes"], len(self.lookup.table.space.genes))
        evaluations = []
        for number, (row, fidelity, token) in enumerate(
            zip(genes, history["fidelities"], history["tokens"], strict=True)
        ):
            outcome, _, _ = self._evaluate(row, fidelity)
            evaluations.append(_evaluation(number, row, fidelity, token, outcome))
        told = evaluations[:num_told]
        self.strategy.restore(strategy_state if strategy_state is not None else self.strategy.state(), told)
        for evaluation in told:
            self._follow(evaluation)
        self._window.extend(evaluations[num_told:])
        self.num_asked, self.num_told = len(evaluations), num_told

    def run(self, stop: Callable[[int], bool], out_of_time: Callable[[], bool] = lambda: False) -> Chunk:
        """Go on until the budget is used, the strategy has nothing left, time is up, or ``stop(trials of this chunk)``.

        Both are asked before each trial. Where the search is at its end, all its trials have been told.
        """
        chunk = Chunk(self.num_asked)
        genes: list[Genes] = []
        told_before = self.num_told
        while not self.is_over and not out_of_time() and not stop(len(genes)):
            while self.num_told < self.num_asked + 1 - self.spec.parallelism:
                self._tell(chunk)
            proposal = self._ask(chunk)
            if proposal is None:
                break
            genes.append(self._take(proposal, chunk))
        if self.is_over or out_of_time():
            while self._window:
                self._tell(chunk)
        return self._close(chunk, genes, told_before)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to ask for."""
        return self.exhausted is not None or self.num_asked >= self.spec.budget.trials

    def _ask(self, chunk: Chunk) -> Proposal | None:
        while True:
            outcome = self.strategy.ask(self.num_asked, [evaluation.genes for evaluation in self._window])
            if isinstance(outcome, Proposal):
                return outcome
            if isinstance(outcome, Exhausted) or not self._window:
                self.exhausted = outcome.reason
                return None
            self._tell(chunk)

    def _take(self, proposal: Proposal, chunk: Chunk) -> Genes:
        """Evaluate a proposal and note it as a trial."""
        genes = self.lookup.table.space.canonical(proposal.genes)
        outcome, name, repeat = self._evaluate(genes, proposal.fidelity)
        token = self._shared(proposal.token)
        self._window.append(_evaluation(self.num_asked, genes, proposal.fidelity, token, outcome))
        chunk.architecture_hashes.append(name)
        key = content_key(name, self._identity, outcome.replicate, proposal.fidelity, repeat)
        chunk.evaluation_keys.append(key)
        chunk.states.append(outcome.status)
        chunk.fidelities.append(proposal.fidelity)
        chunk.replicates.append(repeat)
        chunk.metrics.append(outcome.metrics)
        chunk.costs.append(outcome.costs)
        chunk.errors.append(outcome.error)
        chunk.tokens.append(token)
        self.num_asked += 1
        return genes

    def _evaluate(self, genes: Genes, fidelity: float) -> tuple[Outcome, str, int]:
        repeat = self._repeats.next(genes, fidelity)
        return self.lookup.evaluate(genes, fidelity, repeat), self._hash(genes), repeat

    def _shared(self, token: dict[str, Any]) -> dict[str, Any]:
        """The first token that says the same, while there are few kinds: most strategies say one of a few things in
        every trial, and a long search remembers all of them."""
        if len(self._tokens) >= _MAX_SHARED_TOKENS:
            return token
        return self._tokens.setdefault(json.dumps(token, sort_keys=True), token)

    def _tell(self, chunk: Chunk) -> None:
        evaluation = self._window.popleft()
        self.strategy.tell(evaluation)
        self.num_told += 1
        if self._follow(evaluation):
            chunk.joined_front.append(evaluation.number)
            chunk.curve.append((self.num_told, self.front.hypervolume, self.front.size))

    def _follow(self, evaluation: Evaluation) -> bool:
        """Only full evaluations make the front."""
        if evaluation.objectives is None or evaluation.fidelity != 1.0:
            return False
        return self.front.add(evaluation.objectives)

    def _close(self, chunk: Chunk, genes: list[Genes], told_before: int) -> Chunk:
        if self.num_told > told_before and (not chunk.curve or chunk.curve[-1][0] != self.num_told):
            chunk.curve.append((self.num_told, self.front.hypervolume, self.front.size))
        chunk.genes = encode_genes(np.array(genes, dtype=np.int16))
        chunk.num_asked, chunk.num_told = self.num_asked, self.num_told
        chunk.num_rejected, chunk.exhausted = self.strategy.num_rejected, self.exhausted
        chunk.strategy_state = self.strategy.state()
        chunk.hypervolume, chunk.front_size = self.front.hypervolume, self.front.size
        chunk.reference_point = self.reference_point
        true_front = self.lookup.true_front
        chunk.true_hypervolume = None if true_front is None else true_front.raw_hypervolume
        return chunk


class RepeatCounter:
    """How often each architecture was evaluated at each fidelity, in memory that does not grow with the search."""

    def __init__(self, table: Table) -> None:
        self._row_of = table.row_of
        self._fidelity_at = {share: f for f, share in enumerate(table.shares)}
        self._counts = np.zeros((len(table.genes), len(table.shares)), dtype=np.int32)
        self._elsewhere: Counter[tuple[bytes, int]] = Counter()  # architectures that the table lacks

    def next(self, genes: Genes, fidelity: float) -> int:
        """How often it was evaluated before."""
        key, f = np.ascontiguousarray(genes, dtype=np.int16).tobytes(), self._fidelity_at[fidelity]
        row = self._row_of.get(key)
        if row is None:
            self._elsewhere[key, f] += 1
            return self._elsewhere[key, f] - 1
        self._counts[row, f] += 1
        return int(self._counts[row, f]) - 1


def encode_genes(genes: np.ndarray) -> str:
    """Genes (n, G) as text."""
    return base64.b64encode(np.ascontiguousarray(genes, dtype="<i2").tobytes()).decode()


def decode_genes(text: str, num_genes: int) -> Genes:
    """The inverse of ``encode_genes``."""
    return np.frombuffer(base64.b64decode(text), dtype="<i2").astype(np.int16).reshape(-1, num_genes)


def encode_earlier(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Succeeded evaluations as JSON."""
    return [{"genes": e.genes.tolist(), "objectives": list(e.objectives or ())} for e in evaluations]


def decode_earlier(rows: Sequence[dict[str, Any]]) -> tuple[Evaluation, ...]:
    """The inverse of ``encode_earlier``."""
    return tuple(
        Evaluation(i, np.array(row["genes"], dtype=np.int16), tuple(row["objectives"]), "succeeded")
        for i, row in enumerate(rows)
    )


def _evaluator(spec: SearchSpec) -> TableEvaluatorSpec:
    if not isinstance(spec.evaluator, TableEvaluatorSpec):
        raise ValueError(f"evaluator {spec.evaluator.kind!r} is no table")
    return spec.evaluator


def _evaluation(number: int, genes: Genes, fidelity: float, token: dict[str, Any], outcome: Outcome) -> Evaluation:
    return Evaluation(number, genes, outcome.objectives, outcome.status, token, fidelity)
