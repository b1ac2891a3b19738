"""Parts of the service as real processes: started with a block, gone after it; what they do is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from sqlalchemy import Engine, text

PATIENCE_S = 240.0


def wait_until(condition: Callable[[], object], log: Path | None = None) -> None:
    """Returns when ``condition`` holds; an ``AssertionError`` with the end of ``log`` after ``PATIENCE_S``."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        said = log.read_text(errors="replace")[-3000:] if log and log.exists() else ""
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {said}"
        time.sleep(0.05)


def is_ready(url: str) -> bool:
    """Whether the API there answers and is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.TransportError:
        return False


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below this one; none when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def started(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process with ``environment`` added to ours, in a session of its own; its output goes behind that in ``log``.

    With the block it is killed and so is all below it, for the test's own sake: a failed one leaves nothing behind.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        for child in descendants(process.pid):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def dispatcher(database_url: str, home: Path, ray_address: str = "none") -> Iterator[subprocess.Popen[bytes]]:
    """A dispatcher with short leases; "none" stands for child processes as workers, "" for a Ray of its own."""
    environment = {
        "NAS_HOME": str(home),
        "NAS_DATABASE_URL": database_url,
        "NAS_RAY_ADDRESS": ray_address,
        "NAS_LEASE_S": "3",
        "NAS_RENEW_S": "1",
    }
    with started([sys.executable, "-m", "workers.dispatch"], log_of(home), environment) as process:
        yield process


def log_of(home: Path) -> Path:
    """Where the dispatchers of a home write."""
    return home / "dispatcher.log"


def end_delays(engine: Engine) -> None:
    """A lost job waits before its next attempt; the tests do not."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET run_after = now() WHERE state = 'queued' AND run_after > now()"))
