"""Run one job so that nothing it does escapes: whatever is raised becomes an outcome with a reason."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from nas_service import logs
from workers.context import WorkContext
from workers.marker import check_marker

if TYPE_CHECKING:
    from workers.training.distributed import WorkerGroup

log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 4000
# Jobs that come in numbers use the memory of the one before; after any other it goes back to the system.
_ONE_OF_MANY = frozenset({"advance", "evaluate"})


def execute(
    kind: str, payload: dict[str, Any], context: WorkContext, marker: str, group: WorkerGroup | None = None
) -> dict[str, Any]:
    """``{"result": ...}`` or ``{"error": {"reason", "message"}}``; plain JSON without NaN.

    What the job logs goes to the dispatcher as reports of type "log".
    """
    with logs.about(**_ids(kind, payload)), logs.forwarded(lambda entry: context.report({"type": "log", **entry})):
        return _execute(kind, payload, context, marker, group)


def _execute(
    kind: str, payload: dict[str, Any], context: WorkContext, marker: str, group: WorkerGroup | None
) -> dict[str, Any]:
    outcome = _outcome(kind, payload, context, marker, group)
    ran_out = outcome.get("error", {}).get("reason") == "oom"
    if ran_out or kind not in _ONE_OF_MANY:
        from workers.training.environment import give_back_memory
        from workers.warm import forget

        if ran_out:  # the next attempt finds all the memory there is
            forget()
        give_back_memory()
    return outcome


def _outcome(
    kind: str, payload: dict[str, Any], context: WorkContext, marker: str, group: WorkerGroup | None
) -> dict[str, Any]:
    from workers.training.errors import reason_of

    try:
        check_marker(context.artifacts, marker)
        result = _run(kind, payload, context, group)
        json.dumps(result, allow_nan=False)
        return {"result": result}
    except Exception as caught:
        if context.should_stop():  # some kinds of jobs have nothing to save and end by raising
            return {"result": {"interrupted": True}}
        log.warning("job of kind %s failed", kind, exc_info=caught)
        message = f"{type(caught).__name__}: {caught}"[:_MESSAGE_LIMIT]
        return {"error": {"reason": reason_of(caught), "message": message}}


def _run(kind: str, payload: dict[str, Any], context: WorkContext, group: WorkerGroup | None) -> dict[str, Any]:
    """Do a job, or with a ``group`` this rank's part of it."""
    # The jobs import torch, which takes seconds: not before the worker has said that it is alive.
    if group is not None:
        from workers.group_tasks import GROUP_TASKS

        return GROUP_TASKS[kind](payload, context, group)
    from workers.tasks import TASKS

    return TASKS[kind](payload, context)


def _ids(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What the job is about, as far as its payload says."""
    trials = [item["id"] for item in (*payload.get("trials", ()), *payload.get("architectures", ())) if "id" in item]
    return {
        "kind": kind,
        "epoch": payload.get("epoch"),
        "trial_id": payload.get("network_id") or (trials[0] if len(trials) == 1 else None),
        "supernet_id": payload.get("supernet_id"),
        "export_id": payload.get("export_id"),
    }
