"""The parts as docker-compose.yml starts them: `nas migrate`, `nas serve`, dispatcher, a Ray head and a second node.

Each node has one CPU, so that the supernet, trained by two workers, is trained on both.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nas_service.client import Client
from nas_service.storage import keys
from nas_service.storage.doctor import examine
from nas_service.storage.session import make_engine, unit_of_work
from tests.support.api import free_port
from tests.support.parts import PATIENCE_S, is_ready, started, wait_until

RAY = str(Path(sys.executable).with_name("ray"))


def node_address() -> str:
    """This machine's own address: Ray nodes join by it, not by loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel picks the interface
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_over_separately_started_parts(database_url: str, tmp_path: Path) -> None:
    address, ray_port, port = node_address(), free_port(), free_port()
    environment = {
        "NAS_HOME": str(tmp_path / "home"),
        "NAS_DATABASE_URL": database_url.replace("postgresql+psycopg://", "postgresql://"),
        "NAS_RAY_ADDRESS": f"{address}:{ray_port}",
        "NAS_PORT": str(port),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    logs = {name: tmp_path / f"{name}.log" for name in ("head", "node", "api", "dispatcher")}
    module = [sys.executable, "-m"]
    subprocess.run(
        [*module, "nas_service.cli.main", "migrate"], env={**os.environ, **environment}, check=True, timeout=120
    )
    engine = make_engine(database_url)
    with unit_of_work(engine) as session:
        key = keys.create_key(session, "test", ["admin"]).token
    head = [RAY, "start", "--head", f"--port={ray_port}", f"--node-ip-address={address}", "--num-cpus=1"]
    node = [RAY, "start", f"--address={address}:{ray_port}", "--num-cpus=1", "--block"]
    url = f"http://127.0.0.1:{port}"
    with (
        started([*head, "--include-dashboard=false", "--block"], logs["head"], environment),
        started([*module, "nas_service.cli.main", "serve"], logs["api"], environment),
    ):
        wait_until(lambda: has_joined(logs["head"]), logs["head"])
        wait_until(lambda: is_ready(url), logs["api"])
        with started(node, logs["node"], environment):
            wait_until(lambda: has_joined(logs["node"]), logs["node"])
            with (
                started([*module, "workers.dispatch"], logs["dispatcher"], environment) as dispatcher,
                Client(url, key) as nas,
            ):
                created = nas.create_search(
                    {
                        "name": "separate parts",
                        "space": {"library": "digits-mobile"},
                        "dataset": "digits",
                        "objectives": [{"metric": "accuracy_top1"}, {"metric": "macs"}],
                        "evaluator": {
                            "recipe": {"name": "sandwich", "params": {"num_steps": 60, "workers": 2, "accumulation": 2}}
                        },
                        "budget": {"trials": 16},
                        "finalists": {"count": 3},
                    }
                )
                search = nas.wait(created["id"], timeout_s=PATIENCE_S)
                assert search["state"] == "succeeded", logs["dispatcher"].read_text()[-2000:]
                assert nas.front(search["id"])["members"]
                assert dispatcher.poll() is None
    assert examine(engine, tmp_path / "home" / "artifacts") == []
    engine.dispose()


def has_joined(log: Path) -> bool:
    return "Ray runtime started" in log.read_text(errors="replace")
