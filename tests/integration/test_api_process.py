"""The served process: it stops within seconds while streams are open, and may be killed during a burst of requests."""

import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress

import httpx
import psutil
import pytest

from nas_service.client import Client
from nas_service.storage.searches import page
from nas_service.storage.session import unit_of_work
from tests.support import api, searches
from tests.support.api import SEARCH
from tests.support.parts import is_ready, started, wait_until


@pytest.fixture
def serve(engine, database_url, tmp_path):
    """Starts `nas serve` on one port, as often as it is called; (process, url)."""
    searches.install(engine)
    port = api.free_port()
    url = f"http://{api.HOST}:{port}"
    environment = {"NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": database_url, "NAS_PORT": str(port)}
    with ExitStack() as servers:

        def start():
            command = [sys.executable, "-m", "nas_service.cli.main", "serve"]
            process = servers.enter_context(started(command, tmp_path / "api.log", environment))
            wait_until(lambda: process.poll() is not None or is_ready(url), tmp_path / "api.log")
            assert process.poll() is None
            return process, url

        yield start


def test_it_listens_on_loopback_alone_and_bounds_what_it_reads(serve):
    process, url = serve()
    listening = [item for item in psutil.Process(process.pid).net_connections("inet") if item.status == "LISTEN"]
    assert [item.laddr.ip for item in listening] == ["127.0.0.1"]
    assert httpx.get(f"{url}/livez", headers={"X-Long": "x" * 20_000}, timeout=10).status_code == 431
    with suppress(httpx.TransportError):  # cut off while we are still sending
        assert httpx.get(f"{url}/livez", headers={"X-Long": "x" * 2_000_000}, timeout=10).status_code == 400
    assert httpx.get(f"{url}/livez", headers={"X-Long": "x" * 10_000}, timeout=10).status_code == 200


def test_it_stops_within_seconds_while_fifty_streams_are_open(serve, engine):
    process, url = serve()
    keys = [api.new_key(engine) for _ in range(5)]
    with Client(url, keys[0]) as nas:
        search_id = nas.create_search(SEARCH)["id"]
    with httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_connections=60)) as http:
        streams = []
        for key in keys * 10:
            headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
            request = http.build_request("GET", f"/v1/searches/{search_id}/events", headers=headers)
            streams.append(http.send(request, stream=True))
        assert {stream.status_code for stream in streams} == {200}
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        assert time.monotonic() - began < 10  # three seconds of grace, on a machine that is busy
        for stream in streams:
            stream.close()


def test_a_kill_during_a_burst_loses_and_doubles_nothing(serve, engine, tmp_path):
    process, url = serve()
    key = api.new_key(engine)
    answered: dict[int, dict] = {}
    refused: list[str] = []
    half = threading.Event()
    http = httpx.Client(timeout=20)

    def submit(number: int) -> None:
        """Repeats one request under one key until it is answered, however long the restart takes."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"burst-{number}"}
        body = {**SEARCH, "name": f"burst {number}", "seed": 1000}
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                answer = http.post(f"{url}/v1/searches", json=body, headers=headers)
            except httpx.TransportError:
                time.sleep(0.5)
                continue
            if answer.status_code == 503:
                time.sleep(0.2)
                continue
            if answer.status_code != 201:
                refused.append(answer.text)
                return
            answered[number] = answer.json()
            if len(answered) >= 5:
                half.set()
            return

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    assert half.wait(timeout=60)
    process.kill()
    process.wait()
    serve()
    for thread in threads:
        thread.join(timeout=100)
    http.close()
    assert not refused, (tmp_path / "api.log").read_text()[-10_000:]
    assert len(answered) == 24
    with unit_of_work(engine) as session:
        stored = page(session, limit=1000, name="burst")
    assert sorted(search.id for search in stored) == sorted(answer["id"] for answer in answered.values())
