"""The Python client against the served API: every method, lost answers, refusals, retries that create nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
import threading

import pytest
import yaml
from starlette.datastructures import Headers

from nas_service import client_http
from nas_service.client import ApiError, Client, Unreachable
from nas_service.client_async import AsyncClient
from nas_service.storage import exports
from nas_service.storage.session import unit_of_work
from search_spaces.library_index import library_text
from tests.support import api, searches
from tests.support.api import SEARCH


class Unreliable:
    """The application behind a network that loses things: what happens to the next requests is set by a test."""

    def __init__(self, app) -> None:
        self.app = app
        self.next: list[str] = []
        self.seen: list[tuple[str, str | None]] = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] == "/v1/openapi.json":
            await self.app(scope, receive, send)
            return
        self.seen.append((f"{scope['method']} {scope['path']}", Headers(scope=scope).get("idempotency-key")))
        fate = self.next.pop(0) if self.next else "delivered"
        if fate == "busy":
            await send({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif fate == "answer lost":

            async def nowhere(message):
                pass

            await self.app(scope, receive, nowhere)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            await send({"type": "http.response.body", "body": b"{"})
            # The server closes a connection whose answer is incomplete.
        else:
            await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def network(engine, database_url, home):
    searches.install(engine)
    return Unreliable(api.app_on(database_url, home))


@pytest.fixture(scope="module")
def url(network):
    with api.served(network) as url:
        yield url


@pytest.fixture
def nas(url, engine, network, monkeypatch):
    monkeypatch.setattr(client_http, "delay_s", lambda attempt, retry_after: 0.01)
    network.next, network.seen = [], []
    with Client(url, api.new_key(engine)) as client:
        yield client


def test_a_lost_answer_creates_nothing_twice(nas, network):
    network.next = ["answer lost", "busy", "delivered"]
    created = nas.create_search({**SEARCH, "name": "only once"})
    assert [found["id"] for found in nas.searches(name="only once")] == [created["id"]]
    tries = [key for path, key in network.seen if path == "POST /v1/searches"]
    assert len(tries) == 3
    assert len(set(tries)) == 1
    mine = [nas.create_search({**SEARCH, "name": "mine"}, idempotency_key="mine")["id"] for _ in range(2)]
    assert mine[0] == mine[1]


def test_what_is_not_safe_is_not_repeated(nas, network):
    before = len(nas.keys())
    network.next = ["answer lost"]
    with pytest.raises(Unreachable):
        nas.create_key("lost", ["search:read"])
    assert len(nas.keys()) == before + 1
    made = nas.create_key("kept", ["search:read"])
    nas.revoke_key(made["id"])
    listed = nas.keys()
    assert next(key for key in listed if key["id"] == made["id"])["revoked_at"]
    search = nas.create_search({**SEARCH, "seed": 41})
    _, etag = nas.search_and_etag(search["id"])
    network.next = ["answer lost"]
    with pytest.raises(Unreachable):
        nas.pause(search["id"], if_match=etag)
    assert nas.search(search["id"])["state"] == "paused"
    with pytest.raises(ApiError) as refused:
        nas.resume(search["id"], if_match=etag)
    assert refused.value.code == "precondition_failed"
    assert nas.resume(search["id"])["state"] == "queued"
    assert nas.cancel(search["id"])["state"] == "cancelled"


def test_patience_ends(nas, network):
    network.next = ["busy"] * 10
    with pytest.raises(ApiError) as busy:
        nas.methods()
    assert busy.value.status == 503
    assert len(network.seen) == 5
    with Client("http://127.0.0.1:1", "nas_x") as nobody, pytest.raises(Unreachable, match="no answer"):
        nobody.methods()


def test_who_follows_a_search_waits_for_a_restarting_service(nas, network, monkeypatch):
    search_id = nas.cancel(nas.create_search({**SEARCH, "seed": 42})["id"])["id"]
    network.next = ["answer lost"] * 12
    assert nas.wait(search_id)["state"] == "cancelled"
    monkeypatch.setattr(client_http, "RESTART_S", 0.0)
    network.next = ["answer lost"] * 12
    with pytest.raises(Unreachable):
        nas.wait(search_id)


def test_refusals_say_where(nas):
    with pytest.raises(ApiError) as refused:
        nas.plan_search({**SEARCH, "dataset": "none-such", "typo": 1})
    assert refused.value.status == 422
    assert [field["pointer"] for field in refused.value.fields] == ["/typo"]


def test_every_method(nas, engine):
    document = {**yaml.safe_load(library_text("digits-mobile")), "name": "of the client"}
    assert nas.check_space(document)["num_genes"] > 3
    space = nas.store_space(document)
    assert space["id"] in [found["id"] for found in nas.spaces()]
    drawn = nas.sample(space["id"], count=3, seed=5)
    assert nas.costs(space["id"], [item["choices"] for item in drawn]) == drawn
    assert [dataset["name"] for dataset in nas.datasets()] == ["digits"]
    assert [device["name"] for device in nas.devices()] == ["local-cpu"]
    metrics = [{"name": "acc", "goal": "maximize", "unit": "percent"}]
    rows = [[depth, width, depth * 1.5 + width] for depth in range(40) for width in range(30)]
    table = nas.add_table({"name": "of-the-client", "choices": ["depth", "width"], "metrics": metrics}, rows)
    assert nas.table("of-the-client") == table
    assert table["id"] in [found["id"] for found in nas.tables()]
    assert nas.plan_search(SEARCH)["num_trials"] == SEARCH["budget"]["trials"]

    search = nas.create_search({**SEARCH, "seed": 42})
    changes: list[str] = []
    worker = threading.Thread(target=searches.work_off, args=(engine, search["id"]))
    worker.start()
    finished = nas.wait(search["id"], timeout_s=120, poll_s=0.05, on_change=lambda now: changes.append(now["phase"]))
    worker.join()
    assert finished["state"] == "succeeded"
    assert changes[-1] == "done"
    events = list(nas.events(search["id"]))
    assert events[0]["type"] == "search.created"
    assert events == list(nas.events(search["id"]))
    trials = list(nas.trials(search["id"], stage="search", sort="-accuracy_top1"))
    assert len(trials) == 24
    assert nas.trial(trials[0]["id"])["choices"] == nas.architecture(trials[0]["architecture_hash"])["choices"]
    front = nas.front(search["id"], "search", at_evaluation=24)
    assert front["members"][0]["id"] == trials[0]["id"]
    final = nas.front(search["id"], device="local-cpu")
    assert final["latency_is"] == "measured"
    assert len(list(nas.measurements(search["id"]))) >= len(final["members"])
    assert finished["supernet_id"] in [supernet["id"] for supernet in nas.supernets()]
    assert nas.supernet_curves(str(finished["supernet_id"]))["points"]
    export = nas.create_export(final["members"][0]["id"])
    searches.FormulaWorker(engine).claim()
    with pytest.raises(TimeoutError):
        nas.wait_for_export(export["id"], timeout_s=0.1)


def test_the_same_without_blocking(nas, url, engine, network, home, tmp_path):
    """The asynchronous client over the same bad network: a search followed to its end, its events, a download."""
    content = bytes(range(256)) * 2000

    def finish(search_id: str) -> None:
        searches.work_off(engine, search_id)

    async def use() -> None:
        async with AsyncClient(url, api.new_key(engine)) as service:
            network.next = ["answer lost", "busy", "delivered"]
            created = await service.create_search({**SEARCH, "name": "awaited", "seed": 43})
            assert [item["id"] async for item in service.searches(name="awaited")] == [created["id"]]
            events = asyncio.create_task(_all(service.events(created["id"])))
            work = asyncio.create_task(asyncio.to_thread(finish, created["id"]))
            finished = await service.wait(created["id"], timeout_s=120, poll_s=0.05)
            await work
            assert finished["state"] == "succeeded"
            stored = await service.get(f"/v1/searches/{created['id']}/events", limit=1000)
            assert await events == stored["items"]
            with pytest.raises(ApiError, match="does not exist"):
                await service.search("srch_" + "0" * 32)
            best = (await service.front(created["id"]))["members"][0]
            export = await service.create_export(best["id"])
            _make_export(engine, home, export["id"], content)
            ready = await service.wait_for_export(export["id"], timeout_s=10)
            (tmp_path / "model.onnx.part").write_bytes(content[:1000])
            network.next = ["busy", "busy"]
            (path,) = await service.download(ready, tmp_path)
            assert path.read_bytes() == content

    asyncio.run(use())


async def _all(items):
    return [item async for item in items]


def _make_export(engine, home, export_id: str, content: bytes) -> None:
    """The files of an export as a worker leaves them."""
    folder = home / "artifacts" / "exports" / export_id
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    file = {"name": "model.onnx", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with unit_of_work(engine) as session:
        exports.set_ready(session, export_id, path=f"exports/{export_id}", files=[file], parity={})
