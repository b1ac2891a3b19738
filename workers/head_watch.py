"""Whether the head of a cluster still answers, and what the cluster has."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# The head of a cluster that is only busy answers well within this.
SILENCE_S = 12.0
GRACE_S = 5.0
ASK_EVERY_S = 2.0


def living_resources(nodes: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Sum of what the living nodes have; empty when there is none."""
    total: Counter[str] = Counter()
    for node in nodes:
        if node["Alive"]:
            total.update(node["Resources"])
    return total


class HeadWatch:
    """Asks the head for its nodes (`ray.nodes`), again and again: a driver would notice its death much later.

    `resources` is what the living nodes had together when it answered last.
    """

    def __init__(self, nodes: Callable[[], list[dict[str, Any]]]) -> None:
        self._nodes = nodes
        self.resources = living_resources(nodes())
        self._answered = time.monotonic()
        self._suspected: float | None = None
        self._left = threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def check(self) -> None:
        """RuntimeError when it has not answered for long, or knows of no living node."""
        if not self.resources:
            raise RuntimeError("every node of the Ray cluster is dead")
        now = time.monotonic()
        silence_s = now - self._answered
        if silence_s < SILENCE_S:
            self._suspected = None
        elif self._suspected is None:
            self._suspected = now  # perhaps it is this process that stood still, and nobody has asked
        elif now - self._suspected > GRACE_S:
            raise RuntimeError(f"the head of the Ray cluster has not answered for {silence_s:.0f} s")

    def leave(self) -> None:
        """Ask no more."""
        self._left.set()

    def _ask(self) -> None:
        while not self._left.wait(ASK_EVERY_S):
            with contextlib.suppress(Exception):  # whatever it raises: it did not answer
                self.resources = living_resources(self._nodes())
                self._answered = time.monotonic()
