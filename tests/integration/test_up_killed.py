"""`nas up` itself is killed: its parts go on, and the next start ends them before it starts its own."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import psutil
import pytest

from nas_service.cli.up import running
from nas_service.processes import strays
from nas_service.settings import Settings
from nas_service.storage.doctor import examine
from tests.support.api import free_port
from tests.support.parts import alive, is_ready, started, wait_until


@pytest.mark.slow
def test_the_next_start_ends_what_a_killed_one_left(
    engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": database_url, "NAS_PORT": str(port)}
    log = tmp_path / "up.log"
    with started([sys.executable, "-m", "nas_service.cli.main", "up"], log, environment) as up:
        wait_until(lambda: is_ready(url), log)
        parts = psutil.Process(up.pid).children()
        up.send_signal(signal.SIGKILL)
        up.wait()
    try:
        assert len(parts) == 2
        assert all(part.is_running() for part in parts)
        assert is_ready(url)  # the parts serve on
        assert {stray.process.pid for stray in strays(tmp_path / "processes")} == {part.pid for part in parts}
        assert {f.check for f in examine(engine, processes=tmp_path / "processes")} == {"no_stray_processes"}
        with running(Settings(home=tmp_path, database_url=database_url, port=port)) as (supervisor, _):
            assert not any(alive(part) for part in parts)
            assert not set(supervisor.pids().values()) & {part.pid for part in parts}
            assert is_ready(url)
            assert examine(engine, processes=tmp_path / "processes") == []
    finally:
        for part in parts:
            if part.is_running():
                part.kill()
    assert not is_ready(url)
    assert list((tmp_path / "processes").iterdir()) == []
