"""What a worker of a group and the group's actor tell each other while the job runs."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

log = logging.getLogger(__name__)

_EXCHANGE_EVERY_S = 0.5


class Line:
    """A worker's line to the actor of its group: a thread brings reports there in order, and the wish to stop back.

    `send` takes reports as JSON text and what went wrong, says whether to stop, and raises ConnectionError when the
    actor is gone.
    """

    def __init__(self, send: Callable[[str, dict[str, Any] | None], bool]) -> None:
        self.stopping = threading.Event()
        self._send = send
        self._reports: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def report(self, report: dict[str, Any]) -> None:
        """To be sent soon."""
        with self._lock:
            self._reports.append(report)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Reports go out while this lasts."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()

    def exchange(self, error: dict[str, Any] | None = None) -> None:
        """Hand over what there is, at the end with what went wrong. Raises ConnectionError: nobody would take the
        result."""
        with self._lock:  # held while sending, so that batches arrive in order
            if self._send(json.dumps(self._reports), error):
                self.stopping.set()
            self._reports.clear()

    def _serve(self) -> None:
        while not self._ended.wait(_EXCHANGE_EVERY_S):
            try:
                self.exchange()
            except ConnectionError as error:
                log.warning("the group does not answer: %s", error)
