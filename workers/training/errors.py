"""Errors of training and scoring that carry a reason users see."""


class InvalidMetricError(Exception):
    """A loss or metric is not a finite number."""

    reason = "invalid_metric"


class WorkerLostError(Exception):
    """Another worker of the group is gone, so that the job cannot go on; a new attempt can."""

    reason = "worker_lost"


def reason_of(error: BaseException) -> str:
    """The reason recorded for a failed evaluation: invalid_metric, worker_lost, oom or error."""
    if isinstance(error, InvalidMetricError | WorkerLostError):
        return error.reason
    # torch has its own class for devices only; on the CPU the allocator raises a plain RuntimeError.
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "oom"
    return "error"
