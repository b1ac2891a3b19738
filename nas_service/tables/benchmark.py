"""Strategies against each other on one table, offline: every evaluation a distinct architecture, curves and tests.

Tracks: A, nothing is known before an evaluation; B, every objective but the first is known of any candidate; C, the
search sees some metrics and others are reported (``report``), e.g. a short training against the whole one.

On a table with fidelities an evaluation costs its share of a full one, curves are read at what was spent in full
evaluations, and only results of full evaluations are judged.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.stats import wilcoxon

from nas_service.domain.pareto import non_dominated
from nas_service.domain.search import Budget, Finalists, MethodChoice, Objective, SearchSpec, TableEvaluatorSpec
from nas_service.errors import InvalidInput
from nas_service.methods.strategies.base import Evaluation, Genes, Problem, Proposal, Strategy
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.tables.lookup import TableLookup
from nas_service.tables.peers import PEERS
from nas_service.tables.table import Table

Floats = NDArray[np.float64]
Track = Literal["A", "B", "C"]
_LEAST_MISSING = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Contest:
    """What is searched on a table, what is reported of it (the same metrics unless the track is C), and how.

    ``evaluations`` are counted in full ones: one at a fidelity of 0.06 is 0.06 of an evaluation.
    """

    table: Table
    objectives: tuple[str, ...]
    report: tuple[str, ...]
    evaluations: tuple[int, ...]
    track: Track = "A"
    parallelism: int = 1

    def lookup(self, metrics: Sequence[str], seed: int = 0) -> TableLookup:
        """The table as a search over ``metrics`` with this seed sees it. Raises InvalidInput for unknown metrics."""
        objectives = []
        for name in metrics:
            metric = self.table.metric(name)
            if metric is None and name not in self.table.costs:
                known = ", ".join([*(m.name for m in self.table.metrics), *self.table.costs])
                raise InvalidInput.at("--objectives", f"the table has no metric '{name}'", suggestion=known)
            objectives.append(Objective(name, "minimize" if metric is None else metric.goal))
        spec = SearchSpec(
            name="benchmark",
            space_id=self.table.space.id,
            dataset_id=None,
            objectives=tuple(objectives),
            evaluator=TableEvaluatorSpec("table", self.table.id),
            strategy=MethodChoice("random"),
            budget=Budget(max(self.evaluations)),
            finalists=Finalists(),
            parallelism=self.parallelism,
            seed=seed,
        )
        return TableLookup(spec, self.table)


@dataclass(frozen=True)
class Outcome:
    """One search: at each number of evaluations the normalised hypervolume and IGD+ of what is reported.

    With one objective ``hypervolume`` holds the reported metric of the best searched, in its own unit, and ``igd_plus``
    the regret of the searched metric. Until a full evaluation has succeeded, both are those of the reference point, and
    with one objective of the worst of the table.
    """

    hypervolume: list[float]
    igd_plus: list[float]
    ask_ms_p95: float


def check_name(name: str) -> None:
    """Raises InvalidInput unless ``search_once`` knows the name; the library of a peer may still be missing."""
    outer, colon, inner = name.partition(":")
    if name in PEERS or (not colon and name in STRATEGIES):
        return
    if outer not in STRATEGIES:
        known = ", ".join([*sorted(STRATEGIES), *PEERS])
        raise InvalidInput.at("--strategies", f"no strategy '{outer}'", suggestion=known)
    try:
        STRATEGIES[outer].Params.model_validate({"strategy": {"name": inner}})
    except ValidationError as error:
        message = f"'{name}': {'; '.join(item['msg'] for item in error.errors())}"
        suggestion = "successive_halving:NAME says what proposes"
        raise InvalidInput.at("--strategies", message, suggestion=suggestion) from None


def _strategy(name: str, problem: Problem) -> Strategy:
    if name in PEERS:
        return PEERS[name].make(problem)
    outer, _, inner = name.partition(":")
    kind = STRATEGIES[outer]
    return kind(problem, kind.Params.model_validate({"strategy": {"name": inner}})) if inner else kind(problem)


def search_once(contest: Contest, name: str, seed: int) -> Outcome:
    """One search of a strategy, of one with an inner one (``successive_halving:nsga2``), or of a peer by its name."""
    lookup = contest.lookup(contest.objectives, seed)
    known = contest.track == "B"
    problem = _with_known_costs(lookup, contest) if known else lookup.problem()
    if len(problem.fidelities) > 1:  # how many trials the evaluations are is up to the strategy
        problem = replace(problem, budget=None)
    strategy = _strategy(name, problem)
    pending: deque[tuple[int, Proposal]] = deque()
    full: list[tuple[float, Genes]] = []  # full evaluations, and what was spent with each and all before
    ask_s: list[float] = []
    number, spent, told = 0, 0.0, 0.0

    def tell() -> None:
        nonlocal told
        asked, proposal = pending.popleft()
        found = lookup.evaluate(proposal.genes, proposal.fidelity, 0)
        told += proposal.fidelity
        if proposal.fidelity == 1.0:
            full.append((told, proposal.genes))
        strategy.tell(
            Evaluation(asked, proposal.genes, found.objectives, found.status, proposal.token, proposal.fidelity)
        )

    while spent < max(contest.evaluations) - _ROUNDING:
        if len(pending) >= contest.parallelism:
            tell()
        start = time.perf_counter()
        answer = strategy.ask(number, [proposal.genes for _, proposal in pending])
        ask_s.append(time.perf_counter() - start)
        if isinstance(answer, Proposal):
            pending.append((number, answer))
            number += 1
            spent += answer.fidelity
        elif pending:
            tell()
        else:
            break
    while pending:
        tell()
    return _judged(contest, lookup, full, float(np.percentile(ask_s, 95)) * 1000)


def _with_known_costs(lookup: TableLookup, contest: Contest) -> Problem:
    """The problem of track B: the table itself says what the later objectives will be."""
    table, problem = contest.table, lookup.problem()
    axes = lookup.spec.axes[1:]
    columns = {axis.metric: axis.sign * _full_means(table, axis.metric) for axis in axes}
    rows = table.row_of

    def costs(genes: Genes) -> dict[str, Any]:
        at = [rows[np.ascontiguousarray(row, dtype=np.int16).tobytes()] for row in genes]
        return {name: values[at] for name, values in columns.items()}

    return replace(problem, costs=costs, known=(False, *(True for _ in axes)))


def _full_means(table: Table, name: str) -> Floats:
    """A metric or cost of each architecture (N,) at full fidelity, in the mean of its replicates."""
    if table.metric(name) is None:
        return table.costs[name].astype(np.float64)
    return table.mean_values[:, -1, [metric.name for metric in table.metrics].index(name)]


def _judged(contest: Contest, lookup: TableLookup, full: list[tuple[float, Genes]], ask_ms_p95: float) -> Outcome:
    reported = contest.lookup(contest.report)
    front, searched_front = reported.true_front, lookup.true_front
    assert front is not None
    assert searched_front is not None
    spent = np.array([told for told, _ in full])
    searched_values, values = _objectives(lookup, full), _objectives(reported, full)
    complete = np.isfinite(searched_values).all(axis=1) & np.isfinite(values).all(axis=1)
    quality, distance = [], []
    for count in contest.evaluations:
        seen = complete & (spent <= count + _ROUNDING)
        searched, shown = searched_values[seen], values[seen]
        if len(contest.objectives) == 1:
            best = int(np.argmin(searched[:, 0])) if len(searched) else None
            sign = reported.spec.axes[0].sign
            quality.append(float(sign * (front.nadir[0] if best is None else shown[best, 0])))
            at = searched_front.nadir[0] if best is None else searched[best, 0]
            distance.append(float(at - searched_front.ideal[0]))
            continue
        shown = shown[non_dominated(searched)] if len(searched) else front.raw_reference[None]
        quality.append(float(front.share(shown)[-1]))
        distance.append(front.igd_plus(shown))
    return Outcome(quality, distance, ask_ms_p95)


def _objectives(lookup: TableLookup, full: list[tuple[float, Genes]]) -> Floats:
    missing = (np.nan,) * len(lookup.spec.axes)
    found = [lookup.evaluate(genes, 1.0, 0).objectives or missing for _, genes in full]
    return np.array(found, dtype=np.float64).reshape(-1, len(missing))


def summary(name: str, outcomes: Sequence[Outcome], single: bool) -> dict[str, Any]:
    """Means and spreads over seeds, at each number of evaluations."""
    quality = np.array([outcome.hypervolume for outcome in outcomes])
    row = {
        "strategy": name,
        "seeds": len(outcomes),
        "mean": quality.mean(axis=0).round(5).tolist(),
        "std": quality.std(axis=0, ddof=min(1, len(outcomes) - 1)).round(5).tolist(),
        "distance": np.mean([outcome.igd_plus for outcome in outcomes], axis=0).round(5).tolist(),
        "ask_p95_ms": round(float(np.median([outcome.ask_ms_p95 for outcome in outcomes])), 1),
        "values": quality.round(5).tolist(),
    }
    if not single:
        row["log10_missing"] = np.log10(np.maximum(1 - quality, _LEAST_MISSING)).mean(axis=0).round(3).tolist()
    return row


def paired_tests(rows: Sequence[dict[str, Any]], evaluations: Sequence[int]) -> list[dict[str, Any]]:
    """The first strategy against each other one, seed by seed: Wilcoxon signed ranks, two-sided, Holm's correction.

    The correction is over all comparisons of the list. Fewer than six seeds can show nothing and give no test.
    """
    first, found = np.array(rows[0]["values"]), []
    if len(first) < 6:
        return []
    for row in rows[1:]:
        other = np.array(row["values"])
        for k, count in enumerate(evaluations):
            difference = first[:, k] - other[:, k]
            p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
            found.append(
                {
                    "strategy": rows[0]["strategy"],
                    "against": row["strategy"],
                    "evaluations": count,
                    "difference": round(float(difference.mean()), 5),
                    "wins": int((difference > 0).sum()),
                    "losses": int((difference < 0).sum()),
                    "p": p,
                }
            )
    largest = 0.0
    for place, test in enumerate(sorted(found, key=lambda item: item["p"])):
        largest = max(largest, min(1.0, test["p"] * (len(found) - place)))
        test["p_holm"] = largest
    return found
