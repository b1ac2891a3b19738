"""HTTP for the Python client: problem documents as exceptions, and repeating what is safe to repeat."""

from __future__ import annotations

import random
import time
import uuid
from importlib.metadata import version
from typing import Any

import httpx

RETRY_STATUS = frozenset({429, 502, 503, 504})
MAX_TRIES = 5
MAX_WAIT_S = 30.0


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


class Connection:
    """A pool of connections to one service.

    Every POST carries an idempotency key, the same at each try: a creation whose answer was lost is not repeated, the
    service gives the first answer again.
    """

    def __init__(self, base_url: str, key: str, timeout_s: float) -> None:
        self.http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s, connect=5.0),
            headers={
                "Authorization": f"Bearer {key}",
                "Accept": "application/json",
                "User-Agent": f"nas-service-client/{version('nas-service')}",
            },
        )

    def close(self) -> None:
        self.http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        idempotency_key: str | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """A successful answer; tried again after 429, 502, 503, 504 and broken connections.

        With ``once`` a broken connection is not tried again: the first try may have had its effect. Raises
        ``ApiError`` for any other refusal and ``Unreachable`` when no answer came.
        """
        sent = dict(headers or {})
        if method == "POST":
            sent["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        for attempt in range(1, MAX_TRIES + 1):
            try:
                answer = self.http.request(method, path, json=body, params=params, headers=sent)
            except httpx.TransportError as error:
                if attempt == MAX_TRIES or once:
                    raise Unreachable(f"no answer from {self.http.base_url}: {error}") from error
                time.sleep(delay_s(attempt, None))
                continue
            if answer.status_code in RETRY_STATUS and attempt < MAX_TRIES:
                time.sleep(delay_s(attempt, answer.headers.get("retry-after")))
                continue
            return checked(answer)
        raise AssertionError("the last try returns or raises")


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
