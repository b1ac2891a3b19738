"""Is a specification of a search over a table one that can be carried out? Every problem at once, with pointers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nas_service.control.check import MAX_AXES, check_limits, check_objective, check_strategy, refusal
from nas_service.control.earlier import check_earlier
from nas_service.control.reach import refuse_unreachable
from nas_service.control.spaces import compiled_space
from nas_service.control.strategy_fit import check_fit
from nas_service.domain.metrics import Goal
from nas_service.domain.records import TableRecord
from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.errors import MAX_NAMES, NotFound, Problem, allowed
from nas_service.storage import lookup_tables
from nas_service.storage.session import Session
from nas_service.tables.lookup import TableLookup
from nas_service.tables.table import load_table
from search_spaces.space import SearchSpace


@dataclass(frozen=True)
class CheckedTableSpec:
    """A specification with complete parameters and ids in place of names, and the table it refers to."""

    spec: SearchSpec
    space: SearchSpace
    table: TableRecord


def check_table_spec(session: Session, spec: SearchSpec, artifacts: Path) -> CheckedTableSpec:
    """Raises InvalidInput that lists everything that is wrong. ``artifacts`` is where tables lie."""
    evaluator = spec.evaluator
    if not isinstance(evaluator, TableEvaluatorSpec):
        raise ValueError(f"evaluator {evaluator.kind!r} is no table")
    problems: list[Problem] = []
    strategy = check_strategy(spec, problems)
    check_limits(spec, problems)
    try:
        table = lookup_tables.get(session, evaluator.table_id)
    except NotFound as error:
        names = [known.name for known in lookup_tables.page(session, limit=MAX_NAMES + 1)]
        suggestion = allowed(evaluator.table_id, names)
        problems.append(Problem("/evaluator/table", "unknown", error.detail, suggestion))
        raise refusal(problems) from None
    if spec.space_id not in ("", table.space_id):
        problems.append(Problem("/space_id", "conflict", f"table {table.name} belongs to space {table.space_id}"))
    if spec.dataset_id is not None:
        problems.append(Problem("/dataset_id", "not_allowed", "a table needs no data set"))
    if spec.finalists.count != 0:
        problems.append(Problem("/finalists", "not_allowed", "a table has no networks to score again"))
    _check_metrics(spec, evaluator, table, problems)
    if not problems:
        named = replace(spec, space_id=table.space_id, strategy=strategy)
        check_earlier(session, named, table.id, problems)
        check_fit(named, compiled_space(session, table.space_id), table.manifest["costs"], problems)
    if not problems and any(objective.constraint is not None for objective in spec.objectives):
        refuse_unreachable(spec, TableLookup(spec, load_table(artifacts, table.id)).full_values(), "", problems)
    if problems:
        raise refusal(problems)
    complete = replace(
        spec,
        space_id=table.space_id,
        strategy=strategy,
        evaluator=replace(evaluator, table_id=table.id),
    )
    return CheckedTableSpec(complete, compiled_space(session, table.space_id), table)


def goals_of(session: Session, id_or_name: str) -> dict[str, Goal]:
    """The direction of each metric of a table; none where there is no such table."""
    try:
        manifest = lookup_tables.get(session, id_or_name).manifest
    except NotFound:
        return {}
    return {metric["name"]: metric["goal"] for metric in manifest["metrics"]}


def _check_metrics(
    spec: SearchSpec, evaluator: TableEvaluatorSpec, table: TableRecord, problems: list[Problem]
) -> None:
    own = [metric["name"] for metric in table.manifest["metrics"]]
    names, known = [objective.metric for objective in spec.objectives], [*own, *table.manifest["costs"]]
    if not 1 <= len(spec.axes) <= MAX_AXES:
        message = f"{len(spec.axes)} objectives are optimised; allowed are 1 to {MAX_AXES}"
        problems.append(Problem("/objectives", "invalid_value", message))
    if set(names) <= set(known) and not any(axis.metric in own for axis in spec.axes):
        message = "nothing to look up is optimised"
        problems.append(Problem("/objectives", "invalid_value", message, f"optimise one of: {', '.join(own)}"))
    for i, objective in enumerate(spec.objectives):
        here = f"/objectives/{i}"
        if objective.metric not in known:
            message = f"unknown metric {objective.metric!r}"
            problems.append(Problem(f"{here}/metric", "unknown", message, allowed(objective.metric, known)))
        check_objective(spec, i, problems)
        if objective.target is not None:
            problems.append(Problem(f"{here}/target", "not_allowed", "a table's values were measured before"))
    for i, name in enumerate(evaluator.report):
        if name not in known:
            message = f"unknown metric {name!r}"
            problems.append(Problem(f"/evaluator/report/{i}", "unknown", message, allowed(name, known)))
