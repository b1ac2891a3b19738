"""The REST API for tests: an application on a module's database, a client with a key, and a served one on a port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.testclient import TestClient

from nas_service.app import create_app
from nas_service.settings import Settings
from nas_service.storage import keys
from nas_service.storage.session import unit_of_work

HOST = "127.0.0.1"

ACCURACY = {"metric": "accuracy_top1"}
# A whole search of digits with every kind of objective.
SEARCH = {
    "name": "over rest",
    "space": {"library": "digits-mobile"},
    "dataset": "digits",
    "objectives": [
        ACCURACY,
        {"metric": "macs"},
        {"metric": "latency_ms", "optimize": False, "constraint": {"maximum": 50.0}},
    ],
    "evaluator": {"recipe": {"name": "sandwich", "params": {"num_epochs": 1}}},
    "budget": {"trials": 24},
    "finalists": {"count": 3},
    "parallelism": 4,
    "seed": 7,
}


def settings_for(database_url: str, home: Path) -> Settings:
    return Settings(home=home, database_url=database_url)


def new_key(engine, *scopes: str) -> str:
    with unit_of_work(engine) as session:
        return keys.create_key(session, "tester", scopes or ("admin",)).token


def client_of(app, key: str | None = None) -> TestClient:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return TestClient(app, base_url=f"http://{HOST}", headers=headers, raise_server_exceptions=False)


def app_on(database_url: str, home: Path):
    return create_app(settings_for(database_url, home))


def patient_app_on(database_url: str, home: Path):
    """An application for tests that send more requests than one key may."""
    return create_app(Settings(home=home, database_url=database_url, rate_per_s=1e6, rate_burst=10**6))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextmanager
def served(app, port: int = 0) -> Iterator[str]:
    """The address of a real server with this application, on a free port or on this one."""
    port = port or free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host=HOST, port=port, log_level="error", timeout_graceful_shutdown=1, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
