"""Run one job so that nothing it does escapes: whatever is raised becomes an outcome with a reason."""

from __future__ import annotations

import json
import logging
from typing import Any

from workers.context import WorkContext
from workers.marker import check_marker

log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 4000


def execute(kind: str, payload: dict[str, Any], context: WorkContext, marker: str) -> dict[str, Any]:
    """``{"result": ...}`` or ``{"error": {"reason", "message"}}``; plain JSON without NaN."""
    # The jobs import torch, which takes seconds: not before the worker has said that it is alive.
    from workers.tasks import run_job
    from workers.training.errors import reason_of

    try:
        check_marker(context.artifacts, marker)
        result = run_job(kind, payload, context)
        json.dumps(result, allow_nan=False)
    except Exception as error:
        if context.should_stop():  # some kinds of jobs have nothing to save and end by raising
            return {"result": {"interrupted": True}}
        log.warning("job of kind %s failed", kind, exc_info=error)
        message = f"{type(error).__name__}: {error}"[:_MESSAGE_LIMIT]
        return {"error": {"reason": reason_of(error), "message": message}}
    return {"result": result}
