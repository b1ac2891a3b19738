"""Slows guessing of keys at sign-in: after a few failures in a minute an address has to wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from nas_service.api.problems import TooManyRequests

MAX_FAILURES = 10
WINDOW_S = 60.0
_MAX_ADDRESSES = 10_000


class FailureThrottle:
    """Counts failures by address in a sliding window; ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Raises TooManyRequests while the address has failed too often."""
        with self._lock:
            if len(self._recent(address)) >= MAX_FAILURES:
                raise TooManyRequests(f"more than {MAX_FAILURES} failed sign-ins in a minute; wait a little")

    def failed(self, address: str) -> None:
        """Note a failure."""
        with self._lock:
            recent = self._recent(address)
            recent.append(self._clock())
            if len(self._failures) >= _MAX_ADDRESSES:
                self._failures.clear()
            self._failures[address] = recent

    def _recent(self, address: str) -> deque[float]:
        recent = self._failures.get(address, deque(maxlen=MAX_FAILURES))
        while recent and recent[0] < self._clock() - WINDOW_S:
            recent.popleft()
        return recent
