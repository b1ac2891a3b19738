"""What runs in the processes of a pool, whichever library started them: one job at a time, reports, and a way to stop.

Nothing here knows Ray: the pool makes actors of these classes.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.context import WorkContext
from workers.measure.machine import host_id, machine_fingerprint


@dataclass(frozen=True)
class SlotSettings:
    """What every worker is told."""

    artifacts: str
    marker: str
    device: str
    threads: int


class Member:
    """What the pool asks of every actor; one thread does the job, others answer for it meanwhile."""

    def __init__(self, settings: SlotSettings) -> None:
        self._settings = settings
        self._stopped: str | None = None
        self._reports: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def ready(self) -> str:
        """`{pid, machine}` as JSON text, and `host` where that matters, once the worker can take a job."""
        return json.dumps({"pid": os.getpid(), "machine": machine_fingerprint(), **self._place()})

    def _place(self) -> dict[str, str]:
        return {}

    def live(self) -> None:
        """Does not return: a call that fails when the worker dies, so that this is noticed while it has no job."""
        threading.Event().wait()

    def take_reports(self) -> str:
        """Reports since the last call, as JSON text."""
        with self._lock:
            reports, self._reports = self._reports, []
        return json.dumps(reports)

    def stop(self, claim: str) -> None:
        """Ask the job of this claim to end early; it may come before the job does, or after its end."""
        self._stopped = claim

    def _add_report(self, report: dict[str, Any]) -> None:
        with self._lock:
            self._reports.append(report)


class Slot(Member):
    """A long-lived worker: does one job after another and keeps data and weights warm."""

    def __init__(self, settings: SlotSettings) -> None:
        super().__init__(settings)
        import workers.tasks  # noqa: F401 (torch and all, before the first job)

    def _place(self) -> dict[str, str]:
        return {"host": host_id()}

    def run(self, claim: str, kind: str, payload: str) -> str:
        """Do a job; payload and outcome are JSON text."""
        from workers.execute import execute

        context = WorkContext(
            artifacts=Path(self._settings.artifacts),
            report=self._add_report,
            should_stop=lambda: self._stopped == claim,
            device=self._settings.device,
            threads=self._settings.threads,
        )
        return json.dumps(execute(kind, json.loads(payload), context, self._settings.marker))
