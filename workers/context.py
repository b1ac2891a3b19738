"""What a job is given besides its payload: where artifacts are, how to report, when to stop, what to compute on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def ignore_report(_: dict[str, Any]) -> None:
    """A reporter for callers who need no live progress."""


def never_stop() -> bool:
    """A stop signal for callers who never interrupt."""
    return False


@dataclass(frozen=True)
class WorkContext:
    """The surroundings of one job on one worker.

    `artifacts` is the shared artifact directory; every path in payloads and results is relative to it.
    `report` takes small JSON objects with a "type"; `should_stop` is polled between steps, and a job that
    sees True saves its work and returns early.
    """

    artifacts: Path
    report: Callable[[dict[str, Any]], None] = field(default=ignore_report)
    should_stop: Callable[[], bool] = field(default=never_stop)
    device: str = "cpu"
    threads: int = 1

    @property
    def datasets(self) -> Path:
        """The directory in which each data set lies under its fingerprint."""
        return self.artifacts / "datasets"

    def resolve(self, relative: str) -> Path:
        """Absolute path of an artifact; ValueError if it would lie outside the artifact directory."""
        path = (self.artifacts / relative).resolve()
        if not path.is_relative_to(self.artifacts.resolve()):
            raise ValueError(f"artifact path {relative!r} leaves the artifact directory")
        return path
