"""Failures are counted by address in a window of a minute."""

import pytest

from nas_service.api.problems import TooManyRequests
from nas_service.api.throttle import MAX_FAILURES, WINDOW_S, FailureThrottle


def test_an_address_waits_after_too_many_failures():
    now = [100.0]
    throttle = FailureThrottle(lambda: now[0])
    for _ in range(MAX_FAILURES):
        throttle.check("a")
        throttle.failed("a")
        now[0] += 1
    with pytest.raises(TooManyRequests):
        throttle.check("a")
    throttle.check("b")
    now[0] = 100.0 + WINDOW_S + 0.5
    throttle.check("a")
    throttle.failed("a")
    with pytest.raises(TooManyRequests):
        throttle.check("a")
