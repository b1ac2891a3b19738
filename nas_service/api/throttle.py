"""Limits in time: requests of one key (a token bucket), and failed sign-ins of one address."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service.api import problems
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


class RateLimit:
    """At most ``burst`` requests at once and ``rate_per_s`` in the long run for each key; then 429 with Retry-After.

    Stands behind authentication; requests that need no key pass. Answers carry the fields `RateLimit-Policy` and
    `RateLimit` (IETF draft-ietf-httpapi-ratelimit-headers): the quota, and how much of it is left.
    """

    _MAX_KEYS = 10_000

    def __init__(
        self, app: ASGIApp, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._clock = clock
        # key id -> (tokens left, when that was); only the event loop touches it
        self._buckets: dict[str, tuple[float, float]] = {}
        self._policy = f'"key";q={burst};w={math.ceil(burst / rate_per_s)}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = scope.get("state", {}).get("principal")
        if scope["type"] != "http" or principal is None:
            await self.app(scope, receive, send)
            return
        left = self._take(principal.id)
        if left < 0:
            error = TooManyRequests(f"more than {self.burst} requests at once and {self.rate_per_s:g} a second")
            headers = {"Retry-After": str(math.ceil(-left / self.rate_per_s)), **self._fields(0)}
            answer = problems.response(error, scope["path"], scope["state"].get("request_id", ""), headers)
            await answer(scope, receive, send)
            return

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._fields(int(left)))
            await send(message)

        await self.app(scope, receive, send_with_fields)

    def _take(self, key_id: str) -> float:
        """Take a token; how many are left, or minus the part of one that is missing."""
        now = self._clock()
        tokens, since = self._buckets.get(key_id, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - since) * self.rate_per_s)
        if len(self._buckets) >= self._MAX_KEYS:
            self._buckets.clear()
        enough = tokens >= 1
        self._buckets[key_id] = (tokens - 1 if enough else tokens, now)
        return tokens - 1

    def _fields(self, left: int) -> dict[str, str]:
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"key";r={left}'}
