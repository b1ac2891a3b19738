"""`nas up`: the whole service on one machine, as supervised child processes that may be killed at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from nas_service.cli.connection import save_credentials
from nas_service.cli.lock import only_one
from nas_service.cli.output import progress
from nas_service.cli.prepare import first_key, prepare
from nas_service.errors import Unavailable
from nas_service.processes import Ledger, end_strays
from nas_service.settings import Settings
from nas_service.storage.embedded import EmbeddedPostgres
from nas_service.storage.session import make_engine

PARTS: Mapping[str, tuple[str, ...]] = {
    "api": ("-m", "nas_service.cli.main", "serve"),
    "dispatcher": ("-m", "workers.dispatch"),
}
START_S = 90.0
STOP_S = 10.0
HEALTHY_S = 30.0  # a child that lived this long starts again at once, a shorter life waits
MAX_WAIT_S = 15.0


@dataclass
class Child:
    """One supervised process and when it may start again."""

    name: str
    process: subprocess.Popen[bytes]
    started: float
    wait_s: float = 0.5


class Supervisor:
    """Keeps the parts running; each writes its log to ``NAS_HOME/logs/<part>.log``."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self.database_url = database_url
        self._logs = settings.home / "logs"
        self._logs.mkdir(mode=0o700, exist_ok=True)
        self._environment = {
            **os.environ,
            "NAS_HOME": str(settings.home),
            "NAS_DATABASE_URL": database_url,
            "NAS_HOST": settings.host,
            "NAS_PORT": str(settings.port),
            "RAY_AUTH_MODE": "token",
        }
        self._ledger = Ledger(settings.home / "processes", "up")
        self._children: dict[str, Child] = {}
        for name in PARTS:
            self._children[name] = self._start(name)
            self._ledger.note(self.pids().values())
        self._restart_at: dict[str, float] = {}

    def pids(self) -> dict[str, int]:
        return {name: child.process.pid for name, child in self._children.items()}

    def check(self) -> None:
        """Start again what has died, with growing waits when it dies at once."""
        now = time.monotonic()
        for name, child in self._children.items():
            if child.process.poll() is None:
                continue
            if name not in self._restart_at:
                short = now - child.started < HEALTHY_S
                child.wait_s = min(child.wait_s * 2, MAX_WAIT_S) if short else 0.5
                self._restart_at[name] = now + child.wait_s
                progress.print(
                    f"{name} ended with {child.process.returncode}; starting it again (log: {self._log(name)})"
                )
            elif now >= self._restart_at[name]:
                del self._restart_at[name]
                fresh = self._start(name)
                fresh.wait_s = child.wait_s
                self._children[name] = fresh
                self._ledger.note(self.pids().values())

    def stop(self) -> None:
        """End all parts: politely, then for certain."""
        for child in self._children.values():
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + STOP_S
        for child in self._children.values():
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        self._ledger.close()

    def _start(self, name: str) -> Child:
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *PARTS[name]],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Child(name, process, time.monotonic())

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Supervisor, str | None]]:
    """The service, ready to answer; yields the supervisor and the one-time key if this was the first start.

    Raises ``Conflict`` if it already runs with this home, ``Unavailable`` if it does not become ready.
    """
    settings.home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    with only_one(settings.home):
        for stray in end_strays(settings.home / "processes"):  # what a killed start has left running
            progress.print(f"ended {stray.process.name} ({stray.process.pid}), left by a dead {stray.part}")
        postgres = None if settings.database_url else EmbeddedPostgres(settings.home)
        database_url = settings.database_url or (postgres.start() if postgres else "")
        try:
            engine = make_engine(database_url)
            prepare(engine, settings)
            key = first_key(engine)
            engine.dispose()
            url = f"http://{settings.host}:{settings.port}"
            save_credentials(settings, url, key)
            supervisor = Supervisor(settings, database_url)
            try:
                _wait_until_ready(url, supervisor)
                yield supervisor, key
            finally:
                supervisor.stop()
        finally:
            if postgres is not None:
                postgres.stop()


def up(port: int | None = None) -> None:
    """Run until Ctrl-C or SIGTERM."""
    settings = Settings.from_environment()
    if port is not None:
        settings = replace(settings, port=port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running(settings) as (supervisor, key):
        progress.print(f"NAS service: http://{settings.host}:{settings.port}/ui/   (home: {settings.home})")
        if key is not None:
            progress.print(f"API key, shown once: [bold]{key}[/bold]", soft_wrap=True)
        progress.print("Ctrl-C stops it; searches go on at the next start.")
        try:
            while True:
                supervisor.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            progress.print("stopping ...")


def _wait_until_ready(url: str, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        supervisor.check()
        try:
            if httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Unavailable(f"the service did not become ready within {START_S:.0f} s; its logs are under NAS_HOME/logs")
