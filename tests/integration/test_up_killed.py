"""`nas up` itself is killed: its parts go on, and the next start ends them before it starts its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from nas_service.cli.up import running
from nas_service.processes import strays
from nas_service.settings import Settings
from nas_service.storage.doctor import examine

DEADLINE_S = 120.0


@pytest.mark.slow
def test_the_next_start_ends_what_a_killed_one_left(
    engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": database_url, "NAS_PORT": str(port)}
    with (tmp_path / "up.log").open("wb") as log:
        command = [sys.executable, "-m", "nas_service.cli.main", "up"]
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: ready(url), tmp_path / "up.log")
    finally:
        parts = psutil.Process(up.pid).children() if up.poll() is None else []
        up.send_signal(signal.SIGKILL)
        up.wait()
    try:
        assert len(parts) == 2
        assert all(part.is_running() for part in parts)
        assert ready(url)  # the parts serve on
        assert {stray.process.pid for stray in strays(tmp_path / "processes")} == {part.pid for part in parts}
        assert {f.check for f in examine(engine, processes=tmp_path / "processes")} == {"no_stray_processes"}
        with running(Settings(home=tmp_path, database_url=database_url, port=port)) as (supervisor, _):
            assert not any(part.is_running() and part.status() != psutil.STATUS_ZOMBIE for part in parts)
            assert not set(supervisor.pids().values()) & {part.pid for part in parts}
            assert ready(url)
            assert examine(engine, processes=tmp_path / "processes") == []
    finally:
        for part in parts:
            if part.is_running():
                part.kill()
    assert not ready(url)
    assert list((tmp_path / "processes").iterdir()) == []


def wait_for(condition, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.TransportError:
        return False
