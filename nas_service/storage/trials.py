"""Trials and measurements: what was proposed, what came of it, and results that other searches can reuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from nas_service.domain.records import MeasurementRecord, TrialRecord
from nas_service.domain.states import TRIAL_TERMINAL
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.columns import metric as metric_column
from nas_service.storage.records import oldest_first, to_record
from nas_service.storage.tables import MeasurementRow, SearchRow, TrialRow

OPEN = ("pending", "running")
SORT_COLUMNS = {
    "number": TrialRow.number,
    "accuracy_top1": TrialRow.accuracy_top1,
    "loss": TrialRow.loss,
    "macs": TrialRow.macs,
    "params": TrialRow.params,
    "latency_ms": TrialRow.latency_ms,
    "created_at": TrialRow.created_at,
}


def insert_many(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert trials; each dictionary has the same columns."""
    if rows:
        session.execute(insert(TrialRow), list(rows))


def get(session: Session, trial_id: str) -> TrialRecord:
    """The trial. Raises NotFound."""
    row = session.get(TrialRow, trial_id, populate_existing=True)
    if row is None:
        raise NotFound(f"trial {trial_id} does not exist")
    return to_record(row, TrialRecord)


def of_search(
    session: Session, search_id: str, stage: str, *, first: int = 0, states: Iterable[str] | None = None
) -> list[TrialRecord]:
    """Trials of one stage from number ``first`` on, in number order."""
    query = select(TrialRow).where(TrialRow.search_id == search_id, TrialRow.stage == stage, TrialRow.number >= first)
    if states is not None:
        query = query.where(TrialRow.state.in_(tuple(states)))
    rows = session.scalars(query.order_by(TrialRow.number).execution_options(populate_existing=True))
    return [to_record(row, TrialRecord) for row in rows]


def page(
    session: Session,
    search_id: str,
    *,
    stage: str | None = None,
    state: str | None = None,
    sort: str = "number",
    descending: bool = False,
    limit: int,
    after: tuple[Any, str] | None = None,
) -> list[TrialRecord]:
    """Trials sorted by a column of ``SORT_COLUMNS`` or another metric, and then id, missing values as 0; ``after`` =
    (value, id) seen.

    Only numbers have an index. Of 100,000 trials a page by a metric takes about 60 ms; with an index for each metric it
    took 30, and recording trials (``trial_copy``) twice as long.
    """
    column: Any = SORT_COLUMNS[sort] if sort in SORT_COLUMNS else metric_column(sort)
    if sort not in ("number", "created_at"):  # the others may be missing
        column = func.coalesce(column, 0)
    query = select(TrialRow).where(TrialRow.search_id == search_id)
    if stage is not None:
        query = query.where(TrialRow.stage == stage)
    if state is not None:
        query = query.where(TrialRow.state == state)
    if after is not None:
        place = tuple_(column, TrialRow.id)
        query = query.where(place < after if descending else place > after)
    order = (column.desc(), TrialRow.id.desc()) if descending else (column, TrialRow.id)
    return [to_record(row, TrialRecord) for row in session.scalars(query.order_by(*order).limit(limit))]


@dataclass
class Tally:
    """How many trials a search has by stage and state, and what the finished ones of stage ``search`` have cost, in
    evaluations at full fidelity."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    full_evaluations: float = 0.0


@dataclass(frozen=True)
class _Settled:
    """The trials of stage ``search`` with a number below ``before`` have all ended, and change no more: how many did by
    state, and the sum of their fidelities."""

    before: int = 0
    states: dict[str, tuple[int, float]] = field(default_factory=dict)


# By search what this process has counted once. Numbers are given in order, so nothing is ever added below.
_settled: dict[str, _Settled] = {}
_MAX_SETTLED = 1000


def tallies(session: Session, search_ids: Sequence[str]) -> dict[str, Tally]:
    """The tally of each of these searches; only trials that may have changed since the last time are counted again.

    Of 100,000 trials that takes 40 to 150 ms the first time and 1 ms later.
    """
    if not search_ids:
        return {}
    known = {search_id: _settled.get(search_id, _Settled()) for search_id in search_ids}
    result = {search_id: Tally() for search_id in search_ids}
    ended: dict[str, dict[str, tuple[int, float]]] = {name: dict(found.states) for name, found in known.items()}
    before = {name: found.before for name, found in known.items()}
    what = (TrialRow.search_id, TrialRow.stage, TrialRow.state)
    # What this transaction has written itself may never become true.
    unsure = func.pg_current_xact_id_if_assigned().is_not(None)
    counted = select(*what, func.count(), func.sum(TrialRow.fidelity), func.max(TrialRow.number), unsure)
    open_yet = set()
    for search_id, stage, state, count, fidelities, last, is_unsure in session.execute(
        counted.where(or_(*(_from(*place) for place in before.items()))).group_by(*what)
    ):
        if is_unsure or (stage == "search" and state in OPEN):
            open_yet.add(search_id)
        if stage != "search" or state in OPEN:
            result[search_id].counts.setdefault(stage, {})[state] = count
        else:
            earlier = ended[search_id].get(state, (0, 0.0))
            ended[search_id][state] = (earlier[0] + count, earlier[1] + fidelities)
            before[search_id] = max(before[search_id], last + 1)
    for search_id, states in ended.items():
        tally = result[search_id]
        for state, (count, fidelities) in states.items():
            tally.counts.setdefault("search", {})[state] = count
            tally.full_evaluations += fidelities if state != "cancelled" else 0.0
        if search_id not in open_yet:
            _settled[search_id] = _Settled(before[search_id], states)
    for search_id in list(_settled)[:-_MAX_SETTLED]:
        _settled.pop(search_id, None)
    return result


def _from(search_id: str, number: int) -> ColumnElement[bool]:
    """Trials of a search: those of stage ``search`` from a number on, and all of other stages."""
    numbered = or_(and_(TrialRow.stage == "search", TrialRow.number >= number), TrialRow.stage == "final")
    return and_(TrialRow.search_id == search_id, numbered)


def of_architecture(session: Session, architecture_hash: str, *, limit: int) -> list[TrialRecord]:
    """Trials of an architecture in any search, newest first."""
    query = select(TrialRow).where(TrialRow.architecture_hash == architecture_hash)
    rows = session.scalars(query.order_by(TrialRow.created_at.desc(), TrialRow.id.desc()).limit(limit))
    return [to_record(row, TrialRecord) for row in rows]


def reusable(session: Session, evaluation_keys: Sequence[str]) -> dict[str, TrialRecord]:
    """Succeeded trials that have one of these keys, the oldest original for each."""
    if not evaluation_keys:
        return {}
    query = (
        select(TrialRow)
        .ext(distinct_on(TrialRow.evaluation_key))  # the first of each key: many searches may have reused it
        .where(TrialRow.evaluation_key.in_(evaluation_keys), TrialRow.state == "succeeded")
        .order_by(TrialRow.evaluation_key, TrialRow.reused_from.is_not(None), TrialRow.created_at, TrialRow.id)
    )
    return {row.evaluation_key: to_record(row, TrialRecord) for row in session.scalars(query)}


def assign(session: Session, trial_ids: Sequence[str], job_id: str | None) -> None:
    """Say which job works on these trials."""
    if trial_ids:
        session.execute(update(TrialRow).where(TrialRow.id.in_(trial_ids)).values(job_id=job_id))


def mark_running(session: Session, job_id: str) -> None:
    """The job of these trials has started."""
    session.execute(
        update(TrialRow).where(TrialRow.job_id == job_id, TrialRow.state == "pending").values(state="running")
    )


def write(
    session: Session,
    trial_id: str,
    *,
    job_id: str | None = None,
    state: str | None = None,
    metrics: dict[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Write columns of a trial, merging ``metrics`` into what is there; whether anything was written.

    With ``job_id`` only while that job works on it, which also ends this job's work on it. A terminal trial changes
    its state no more.
    """
    statement = update(TrialRow).where(TrialRow.id == trial_id)
    if job_id is not None:
        statement = statement.where(TrialRow.job_id == job_id)
        values["job_id"] = None
    if metrics is not None:
        values["metrics"] = TrialRow.metrics.concat(metrics)
    if state is not None:
        statement = statement.where(TrialRow.state.in_(OPEN))
        values["state"] = state
        if state in TRIAL_TERMINAL:
            values["finished_at"] = func.now()
    return session.execute(statement.values(**values)).rowcount > 0  # type: ignore[attr-defined]


def mark_joined_front(session: Session, search_id: str, numbers: Sequence[int]) -> None:
    """These trials of stage ``search`` were dominated by nothing told before them."""
    if numbers:
        which = (TrialRow.search_id == search_id, TrialRow.stage == "search", TrialRow.number.in_(numbers))
        session.execute(update(TrialRow).where(*which).values(joined_front=True))


def that_joined_front(session: Session, search_id: str, metrics: Sequence[str], before: int) -> list[tuple[Any, ...]]:
    """(number, value of each metric) of the told trials with a number below ``before`` among which the front after
    that many trials is, in order."""
    query = select(TrialRow.number, *[metric_column(name) for name in metrics]).where(
        TrialRow.search_id == search_id, TrialRow.joined_front, TrialRow.stage == "search", TrialRow.number < before
    )
    return [tuple(row) for row in session.execute(query.order_by(TrialRow.number))]


def numbered(session: Session, search_id: str, numbers: Sequence[int]) -> list[TrialRecord]:
    """The trials of stage ``search`` with these numbers, in order."""
    query = select(TrialRow).where(
        TrialRow.search_id == search_id, TrialRow.stage == "search", TrialRow.number.in_(numbers)
    )
    rows = session.scalars(query.order_by(TrialRow.number).execution_options(populate_existing=True))
    return [to_record(row, TrialRecord) for row in rows]


def cancel_open(session: Session, search_id: str) -> int:
    """Cancel every open trial of a search; how many there were."""
    statement = update(TrialRow).where(TrialRow.search_id == search_id, TrialRow.state.in_(OPEN))
    values = {"state": "cancelled", "job_id": None, "finished_at": func.now()}
    return session.execute(statement.values(**values)).rowcount  # type: ignore[attr-defined]


def mean_eval_s(session: Session, space_id: str) -> float | None:
    """Mean time of one evaluation in earlier searches of a space, None when there is none."""
    measured = case((TrialRow.reused_from.is_(None), TrialRow.eval_s))
    query = select(func.avg(measured)).join(SearchRow, SearchRow.id == TrialRow.search_id)
    return session.scalar(query.where(SearchRow.space_id == space_id, TrialRow.stage == "search"))


def add_measurement(session: Session, **values: Any) -> None:
    """Store a measured value with its protocol."""
    session.add(MeasurementRow(id=new_id("measurement"), **values))
    session.flush()


def measurements(session: Session, search_id: str, *, limit: int, after: str | None = None) -> list[MeasurementRecord]:
    """What was measured for a search, oldest first."""
    query = select(MeasurementRow).where(MeasurementRow.search_id == search_id)
    return oldest_first(session, query, MeasurementRow, MeasurementRecord, limit=limit, after=after)
