"""`nas up` keeps its parts alive: what is killed comes back, and a second start with the same home is refused."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from nas_service.cli.up import running
from nas_service.client import Client
from nas_service.errors import Conflict
from nas_service.settings import Settings

DEADLINE_S = 90.0


@pytest.mark.slow
def test_killed_parts_come_back(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(home=tmp_path, database_url=database_url, port=port)
    url = f"http://127.0.0.1:{port}"
    with running(settings) as (supervisor, key):
        assert key is not None
        before = supervisor.pids()
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE_S
        while not (_ready(url) and not set(before.values()) & set(supervisor.pids().values())):
            assert time.monotonic() < deadline, f"not back: {before} {supervisor.pids()}"
            supervisor.check()
            time.sleep(0.1)
        with Client(url, key) as nas:
            assert [row["name"] for row in nas.pages("/v1/datasets")] == ["digits"]
        with pytest.raises(Conflict, match="already runs"), running(settings):
            pass
    assert not _ready(url)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.TransportError:
        return False
