"""Earlier searches that a new one starts from: which may be named, and their results in the new objectives.

Only finished searches can be named: their trials never change again, so a strategy that is rebuilt after a crash is
told the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nas_service.control.objectives import objectives_of
from nas_service.domain.search import SearchSpec
from nas_service.domain.states import SEARCH_TERMINAL
from nas_service.errors import NotFound, Problem
from nas_service.methods.strategies.archive import Archive
from nas_service.methods.strategies.base import Evaluation
from nas_service.methods.strategies.base import Problem as StrategyProblem
from nas_service.methods.strategies.warm_start import MOST_RESULTS
from nas_service.storage import searches, trials
from nas_service.storage.session import Session

_WARM_START = "warm_start"


def check_earlier(session: Session, spec: SearchSpec, table_id: str | None, problems: list[Problem]) -> None:
    """Every search that ``spec`` starts from is finished and comparable; what is wrong is added to ``problems``.

    ``spec`` has ids in place of names and complete strategy parameters.
    """
    if spec.strategy.name != _WARM_START:
        return
    axes = [(axis.metric, axis.target) for axis in spec.axes]
    for i, search_id in enumerate(spec.strategy.params.get("searches", [])):
        here = f"/strategy/params/searches/{i}"
        try:
            search = searches.get(session, search_id)
        except NotFound as error:
            problems.append(Problem(here, "unknown", error.detail, "GET /v1/searches lists them"))
            continue
        earlier = SearchSpec.from_json(search.spec)
        measured = {(objective.metric, objective.target) for objective in earlier.objectives}
        missing = sorted({metric for metric, target in axes if (metric, target) not in measured})
        if search.state not in SEARCH_TERMINAL:
            problems.append(Problem(here, "conflict", f"is {search.state}; only a finished search can be started from"))
        if search.space_id != spec.space_id:
            problems.append(Problem(here, "conflict", f"belongs to search space {search.space_id}"))
        if (search.dataset_id, search.table_id) != (spec.dataset_id, table_id):
            message = f"was evaluated on {search.table_id or search.dataset_id}"
            problems.append(Problem(here, "conflict", message, f"this search: {table_id or spec.dataset_id}"))
        if missing:
            message = f"has no {', '.join(missing)} measured in the same way"
            problems.append(Problem(here, "conflict", message))


def earlier_results(session: Session, spec: SearchSpec) -> list[Evaluation]:
    """Full evaluations that succeeded and keep the constraints, minimised objectives; the front and the latest."""
    if spec.strategy.name != _WARM_START:
        return []
    archive = Archive(len(spec.axes))
    for search_id in spec.strategy.params["searches"]:
        for trial in trials.of_search(session, search_id, "search", states=("succeeded",)):
            objectives = objectives_of(spec, trial) if trial.fidelity == 1.0 else None
            values = {objective.metric: trial.value(objective.metric) for objective in spec.objectives}
            known = {metric: value for metric, value in values.items() if value is not None}
            if objectives is not None and not spec.violations(known):
                genes = np.asarray(trial.genes, dtype=np.int16)
                archive.add(Evaluation(len(archive), genes, objectives, "succeeded"))
    return [archive.good[i] for i in archive.window(len(archive), MOST_RESULTS)]


def with_earlier(problem: StrategyProblem, session: Session, spec: SearchSpec) -> StrategyProblem:
    """The problem with the results that its search starts from."""
    return replace(problem, earlier=tuple(earlier_results(session, spec)))
