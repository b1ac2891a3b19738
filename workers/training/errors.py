"""Errors of training and scoring that carry a reason users see."""


class InvalidMetricError(Exception):
    """A loss or metric is not a finite number."""

    reason = "invalid_metric"


def reason_of(error: BaseException) -> str:
    """The reason recorded for a failed evaluation: invalid_metric, oom or error."""
    if isinstance(error, InvalidMetricError):
        return error.reason
    # torch has its own class for devices only; on the CPU the allocator raises a plain RuntimeError.
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "oom"
    return "error"
