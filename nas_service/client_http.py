"""What both Python clients share: how they connect, problem documents as exceptions, how long to wait between tries."""

from __future__ import annotations

import random
from importlib.metadata import version
from typing import Any

import httpx

RETRY_STATUS = frozenset({429, 502, 503, 504})
MAX_TRIES = 5
MAX_WAIT_S = 30.0
# Who follows a search waits this long for a service that is being restarted.
RESTART_S = 180.0


class ApiError(Exception):
    """The service refused or failed; ``problem`` is its problem document (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("code", "unknown"))
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {self.status}")

    @property
    def fields(self) -> list[dict[str, str]]:
        """What is wrong, one entry per field: ``pointer``, ``code``, ``message`` and perhaps ``suggestion``."""
        return self.problem.get("errors", [])


class Unreachable(Exception):
    """No connection to the service, also after the retries."""


def settings(base_url: str, key: str, timeout_s: float) -> dict[str, Any]:
    """How both kinds of httpx clients are made."""
    return {
        "base_url": base_url,
        "timeout": httpx.Timeout(timeout_s, connect=5.0),
        "headers": {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "User-Agent": f"nas-service-client/{version('nas-service')}",
        },
    }


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer itself. Raises ``ApiError`` unless it is a success."""
    if not answer.is_error:
        return answer
    try:
        problem = answer.json()
    except ValueError:
        problem = {"title": answer.reason_phrase}
    raise ApiError({"status": answer.status_code, **problem})


def delay_s(attempt: int, retry_after: str | None) -> float:
    """How long to wait before the next try: what the service asks for, else doubling with jitter."""
    if retry_after is not None and retry_after.isdigit():
        return min(float(retry_after), MAX_WAIT_S)
    return min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.5)
