"""Many finished trials in one COPY: the way in for searches that evaluate thousands of architectures a second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from nas_service.ids import new_id
from nas_service.storage.tables import TrialRow

_COLUMNS = (
    "id", "search_id", "stage", "number", "replicate", "fidelity", "joined_front", "architecture_hash", "genes",
    "state", "evaluation_key", "token", "reused_from", "macs", "params", "metrics", "error", "finished_at",
)  # fmt: skip
_COPY = f"COPY trial ({', '.join(_COLUMNS)}) FROM STDIN"


@dataclass(frozen=True)
class FinishedTrial:
    """A trial of stage ``search`` that was evaluated where it was proposed. Fields as in ``TrialRecord``."""

    number: int
    replicate: int
    fidelity: float
    joined_front: bool
    architecture_hash: str
    genes: list[int]
    state: str
    evaluation_key: str
    token: dict[str, Any]
    macs: int | None
    params: int | None
    metrics: dict[str, Any]
    error: dict[str, Any] | None


def copy_trials(session: Session, search_id: str, trials: Iterable[FinishedTrial]) -> None:
    """Insert trials of a search within the session's transaction; equal evaluations of others are referred to."""
    trials = list(trials)
    if not trials:
        return
    originals = _originals(session, [trial.evaluation_key for trial in trials if trial.state == "succeeded"])
    now = session.connection().exec_driver_sql("SELECT now()").scalar_one()
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for trial in trials:
            copy.write_row(
                (
                    new_id("trial"),
                    search_id,
                    "search",
                    trial.number,
                    trial.replicate,
                    trial.fidelity,
                    trial.joined_front,
                    trial.architecture_hash,
                    f"{{{','.join(map(str, trial.genes))}}}",
                    trial.state,
                    trial.evaluation_key,
                    _json(trial.token),
                    originals.get(trial.evaluation_key) if trial.state == "succeeded" else None,
                    trial.macs,
                    trial.params,
                    _json(trial.metrics),
                    None if trial.error is None else _json(trial.error),
                    now,
                )
            )


def history(session: Session, search_id: str) -> list[tuple[list[int], float, dict[str, Any]]]:
    """(genes, fidelity, token) of every trial of stage ``search``, in number order."""
    query = select(TrialRow.genes, TrialRow.fidelity, TrialRow.token)
    query = query.where(TrialRow.search_id == search_id, TrialRow.stage == "search").order_by(TrialRow.number)
    return [tuple(row) for row in session.execute(query)]


def _originals(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """From evaluation key to the trial that computed it first, for the keys that some search has evaluated."""
    if not keys:
        return {}
    query = select(TrialRow.evaluation_key, TrialRow.reused_from, TrialRow.id)
    # One array instead of thousands of parameters.
    among = TrialRow.evaluation_key == any_(bindparam("keys", list(keys), ARRAY(Text)))
    query = query.where(among, TrialRow.state == "succeeded")
    query = query.order_by(TrialRow.reused_from.is_not(None).desc(), TrialRow.created_at.desc(), TrialRow.id.desc())
    return {key: reused_from or trial_id for key, reused_from, trial_id in session.execute(query)}


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
