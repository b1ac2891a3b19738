"""`nas up` is killed: its parts go on, and the next start ends them before it starts its own, which it keeps alive."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from nas_service.cli.up import running
from nas_service.client import Client
from nas_service.errors import Conflict
from nas_service.processes import strays
from nas_service.settings import Settings
from nas_service.storage.doctor import examine
from tests.support.api import free_port
from tests.support.parts import alive, is_ready, started, wait_until


@pytest.mark.slow
def test_parts_outlive_a_killed_start_until_the_next_and_come_back_when_they_are_killed(
    engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": database_url, "NAS_PORT": str(port)}
    log = tmp_path / "up.log"
    with started([sys.executable, "-m", "nas_service.cli.main", "up"], log, environment) as up:
        wait_until(lambda: "Ctrl-C stops it" in log.read_text(), log)
        parts = psutil.Process(up.pid).children()
        up.send_signal(signal.SIGKILL)
        up.wait()
    try:
        assert len(parts) == 2
        assert all(part.is_running() for part in parts)
        assert is_ready(url)  # the parts serve on
        assert {stray.process.pid for stray in strays(tmp_path / "processes")} == {part.pid for part in parts}
        assert {f.check for f in examine(engine, processes=tmp_path / "processes")} == {"no_stray_processes"}
        settings = Settings(home=tmp_path, database_url=database_url, port=port)
        with running(settings) as (supervisor, no_key):
            assert no_key is None  # it was shown at the first start, and is shown once
            assert not any(alive(part) for part in parts)
            before = set(supervisor.pids().values())
            assert not before & {part.pid for part in parts}
            assert is_ready(url)
            assert examine(engine, processes=tmp_path / "processes") == []
            for pid in before:
                os.kill(pid, signal.SIGKILL)

            def back() -> bool:
                supervisor.check()
                return is_ready(url) and not before & set(supervisor.pids().values())

            wait_until(back)
            (key,) = re.findall(r"shown once: (\S+)", log.read_text())
            with Client(url, key) as nas:
                assert [row["name"] for row in nas.pages("/v1/datasets")] == ["digits"]
            with pytest.raises(Conflict, match="already runs"), running(settings):
                pass
    finally:
        for part in parts:
            if part.is_running():
                part.kill()
    assert not is_ready(url)
    assert list((tmp_path / "processes").iterdir()) == []
