"""`nas up` keeps its parts alive: what is killed comes back, and a second start with the same home is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nas_service.cli.up import running
from nas_service.client import Client
from nas_service.errors import Conflict
from nas_service.settings import Settings
from tests.support.api import free_port
from tests.support.parts import is_ready, wait_until


@pytest.mark.slow
def test_killed_parts_come_back(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    port = free_port()
    settings = Settings(home=tmp_path, database_url=database_url, port=port)
    url = f"http://127.0.0.1:{port}"
    with running(settings) as (supervisor, key):
        assert key is not None
        before = supervisor.pids()
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)

        def back() -> bool:
            supervisor.check()
            return is_ready(url) and not set(before.values()) & set(supervisor.pids().values())

        wait_until(back)
        with Client(url, key) as nas:
            assert [row["name"] for row in nas.pages("/v1/datasets")] == ["digits"]
        with pytest.raises(Conflict, match="already runs"), running(settings):
            pass
    assert not is_ready(url)
