"""Hostile requests on the real application: whatever is in them, the answer is a 4xx, soon, and it betrays nothing."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

from nas_service.app import build_api
from nas_service.control.exports import request_export
from nas_service.storage import exports
from nas_service.storage.session import run_in_transaction, unit_of_work
from search_spaces.library_index import library_text
from tests.support import api, searches
from tests.support.api import SEARCH

TRAVERSALS = [
    "../../../../etc/passwd",
    "..\\..\\..\\windows\\win.ini",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "\\\\server\\share\\file",
    "model.safetensors/../../secret",
    "a\0b",
]
TEXTS = ["a\0b", "x\udfff", "x" * 5000, "\r\nSet-Cookie: a=b", "<script>alert(1)</script>", "' OR 1=1 --", "𝒳" * 300]
NUMBERS = [2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 1e308, -0.5, True]
RAW_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5000]
STRANGE = [None, [], {}, [[[]]], {"": {"": []}}]
SECRET = "root:x:0:0"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def spec(engine):
    return searches.install(engine)


@pytest.fixture(scope="module")
def app(spec, database_url, home):
    return api.patient_app_on(database_url, home)


@pytest.fixture(scope="module")
def key(engine):
    return api.new_key(engine)


@pytest.fixture(scope="module")
def client(app, key):
    with api.client_of(app, key) as client:  # one event loop, not one for each of thousands of requests
        yield client


@pytest.fixture(scope="module")
def export(engine, spec, home):
    """A ready export of one file of 200 kB."""
    search_id = searches.start(engine, spec)
    searches.work_off(engine, search_id)
    trial = searches.trials_of(engine, search_id, "final")[0]
    export = run_in_transaction(engine, lambda session: request_export(session, search_id, trial.id))
    folder = home / "artifacts" / "exports" / export.id
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"0123456789" * 20_000)
    set_files(engine, export.id, f"exports/{export.id}", ["weights"])
    return export.id


def set_files(engine, export_id, path, names):
    files = [{"name": name, "size_bytes": 200_000, "sha256": "00" * 32} for name in names]
    with unit_of_work(engine) as session:
        exports.set_ready(session, export_id, path=path, files=files, parity={})


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path template, operation) of the document, sorted."""
    for path, found in sorted(build_api().openapi()["paths"].items()):
        for method, operation in sorted(found.items()):
            yield method.upper(), path, operation


def refused(answer, what) -> None:
    assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text[:300])
    assert SECRET not in answer.text


def test_no_path_parameter_leads_out(client):
    for method, template, _ in operations():
        if "{" not in template:
            continue
        for text in TRAVERSALS:
            for shown in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
                path = re.sub(r"\{[^}]*\}", lambda _, shown=shown: shown, template)
                refused(client.request(method, path, json={} if method == "POST" else None), (method, path))


def test_no_name_in_a_body_or_query_leads_out(client):
    for text in TRAVERSALS:
        for body in (
            {**SEARCH, "dataset": text},
            {**SEARCH, "space": {"library": text}},
            {**SEARCH, "space": {"id": text}},
            {**SEARCH, "objectives": [{"metric": "accuracy_top1"}, {"metric": "latency_ms", "device": text}]},
            {**SEARCH, "strategy": {"name": text}},
            {**SEARCH, "evaluator": {"supernet_id": text}},
        ):
            refused(client.post("/v1/search-plans", json=body), body)
        refused(client.post("/v1/exports", json={"trial_id": text}), text)
        refused(client.get("/v1/searches", params={"page_token": text}), text)


def test_only_the_listed_files_of_an_export_are_opened(client, engine, export, home):
    """Links and ways out are refused, even if a row named them."""
    (home / "secret").write_text(SECRET)
    folder = home / "artifacts" / "exports" / export
    (folder / "hard").hardlink_to(home / "secret")
    (folder / "soft").symlink_to(home / "secret")
    (folder / "inside").mkdir()
    set_files(engine, export, f"exports/{export}", ["weights", "soft", "inside", "missing"])
    for name in ("soft", "inside", "missing", "hard", "..%2f..%2fsecret", "soft%00.txt", "..%5csecret"):
        refused(client.get(f"/v1/exports/{export}/files/{name}"), name)
    set_files(engine, export, "..", ["secret"])
    refused(client.get(f"/v1/exports/{export}/files/secret"), "a row that leads out of the store")
    set_files(engine, export, f"exports/{export}", ["weights"])
    assert client.get(f"/v1/exports/{export}/files/weights").status_code == 200


@pytest.mark.parametrize(
    "ranges",
    [
        "bytes=" + ",".join(f"{n}-{n}" for n in range(100_000)),
        "bytes=" + ",".join(["0-"] * 800),
        "bytes=-99999999999999999999",
        "bytes=99999999999999999999-",
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "lines=1-2",
        "bytes=0-0,-1,2-3",
    ],
)
def test_ranges_cost_nothing(client, export, ranges):
    path = f"/v1/exports/{export}/files/weights"
    whole = client.get(path).content
    began = time.process_time()
    answer = client.get(path, headers={"Range": ranges})
    used = time.process_time() - began
    assert answer.status_code in (200, 206, 400, 416, 431), answer.status_code
    assert len(answer.content) < 2 * len(whole)
    assert used < 0.5, f"{used:.3f} s of processor time"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from places(child, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


def bodies() -> dict[str, Any]:
    small = {**yaml.safe_load(library_text("digits-mobile")), "name": "small"}
    return {
        "/v1/searches": {**SEARCH, "finalists": {"count": 3, "mode": "retrain", "recipe": {"name": "alone"}}},
        "/v1/search-plans": {**SEARCH, "space": {"library": "digits-mobile"}},
        "/v1/search-space-checks": {"document": small},
        "/v1/exports": {"trial_id": "tri_" + "0" * 32},
        "/v1/keys": {"name": "a", "scopes": ["search:read"], "expires_in_s": 60},
        "/v1/tables": {
            "name": "cells",
            "choices": ["op", "width"],
            "metrics": [{"name": "acc", "goal": "maximize", "unit": "percent"}],
            "fidelity": "epochs",
            "replicate": "seed",
        },
        "/v1/session": {"key": "nas_" + "0" * 32},
    }


@pytest.mark.parametrize("path", sorted(bodies()))
def test_nasty_values_in_every_field(client, path):
    """No value at any place of a body makes the service fail; what JSON does not have is refused everywhere."""
    body = bodies()[path]
    assert client.post(path, json=body).status_code < 500
    every = list(places(body))
    # the language of spaces has hundreds of places: every ninth, the beginning in full
    for place in [*every[:25], *every[25::9]]:
        for value in (TEXTS[1], TEXTS[3], *NUMBERS[2:], *STRANGE[:3]):
            text = json.dumps(replaced(body, place, value))
            answer = client.post(path, content=text, headers=JSON)
            assert answer.status_code < 500, (place, value, answer.text)
        marked = json.dumps(replaced(body, place, "@@"))
        for raw in RAW_NUMBERS:
            refused(client.post(path, content=marked.replace('"@@"', raw), headers=JSON), (place, raw[:20]))
        refused(client.post(path, content=marked.replace("@@", "\\u0000"), headers=JSON), (place, "NUL"))


def test_nasty_rows_of_tables(client):
    """Whatever the rows hold, adding and sealing them is refused or works."""
    definition = bodies()["/v1/tables"]
    body = {"first_row": 0, "rows": [["conv", 8, 90.5, 100, 1], ["pool", 16, 91.5, 100, 1]]}
    for number, (place, value) in enumerate(product(places(body), (TEXTS[1], TEXTS[3], *NUMBERS, *STRANGE))):
        made = client.post("/v1/tables", json={**definition, "name": f"cells-{number}"})
        assert made.status_code == 201, made.text
        path = f"/v1/table-uploads/{made.json()['id']}"
        answer = client.post(f"{path}/rows", content=json.dumps(replaced(body, place, value)), headers=JSON)
        assert answer.status_code < 500, (place, value, answer.text)
        sealed = client.post(f"{path}/seal")
        assert sealed.status_code < 500, (place, value, sealed.text)


def test_nasty_values_in_every_parameter(client):
    for method, template, operation in operations():
        if method == "DELETE" or operation["operationId"] == "events_list_of_search":
            continue
        path = re.sub(r"\{(\w+)\}", "srch_" + "0" * 32, template)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" or parameter["name"] == "If-None-Match":
                continue
            for value in (*map(str, NUMBERS[2:4]), "NaN", "1e400", "", "%00", "%ff", *map(quote, TEXTS[3:])):
                if parameter["in"] == "query":
                    answer = client.request(method, f"{path}?{parameter['name']}={value}")
                else:
                    answer = client.request(method, path, headers={parameter["name"]: value or "x"})
                assert answer.status_code < 500, (method, path, parameter["name"], value)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"document": ' + b"[" * 40 + b"]" * 40 + b"}",
        b"{" + b",".join(b'"%d": 0' % n for n in range(90_000)) + b"}",
        b'{"document": {"a": "' + b"\\u0061" * 170_000 + b'"}}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"name": "a", "name": "b"}',
        b"{'name': 1}",
        b"{} {}",
        b"",
    ],
)
def test_bodies_that_are_bombs_or_no_json(client, body):
    for path in ("/v1/searches", "/v1/search-space-checks"):
        began = time.process_time()
        refused(client.post(path, content=body, headers=JSON), body[:40])
        assert time.process_time() - began < 2


def bomb(**changes) -> dict[str, Any]:
    return {**yaml.safe_load(library_text("digits-mobile")), "name": "bomb", **changes}


def test_spaces_that_are_bombs(client):
    deep: Any = {"block": "conv"}
    for _ in range(12):
        deep = {"sequence": [deep]}
    wide = {f"c{n}": {"one_of": list(range(1000))} for n in range(300)}
    for document in (
        bomb(choices=wide),
        bomb(choices={"a": {"int": [0, 2**62]}, "b": {"int": [0, 2**62]}}),
        bomb(derived={"a": "b + 1", "b": "a + 1"}),
        bomb(derived={"a": "(" * 500 + "1" + ")" * 500}),
        bomb(derived={"a": "9 ** 9 ** 9 ** 9"}),
        bomb(derived={"a": "__import__('os').system('true')"}),
        bomb(network=[deep] * 500),
    ):
        began = time.process_time()
        refused(client.post("/v1/search-space-checks", json={"document": document}), str(document)[:200])
        assert time.process_time() - began < 2


def test_large_bodies_hold_nothing(spec, key, database_url, home):
    """Over a socket: a declared giant, lengths that lie, and an endless body; memory does not grow with them."""
    head = f"POST /v1/searches HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\n"
    with api.served(api.patient_app_on(database_url, home)) as url:
        port = int(url.rpartition(":")[2])

        def send(text: str) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(text.encode())
            return connection

        def status(connection: socket.socket) -> int:
            with connection:
                return int(connection.recv(4096).split()[1])

        before = psutil.Process().memory_info().rss
        assert status(send(head + "Content-Length: 100000000\r\n\r\n")) == 413
        assert status(send(head + "Content-Length: -5\r\n\r\n")) == 400
        assert status(send(head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")) == 400
        endless = send(head + "Transfer-Encoding: chunked\r\n\r\n")
        piece = f"{65536:x}\r\n{' ' * 65536}\r\n"
        with contextlib.suppress(OSError):  # cut off while we are still sending
            for _ in range(200):
                endless.sendall(piece.encode())
        with contextlib.suppress(ConnectionError):
            assert status(endless) == 413
        assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_a_key_is_told_to_nobody(client, key, caplog):
    secret = key.split("_", 2)[2]  # which may have an underscore itself
    with caplog.at_level(logging.DEBUG):
        answers = [
            client.get("/v1/searches"),
            client.get(f"/v1/searches?key={key}"),
            client.post("/v1/searches", json={"name": key}),
            client.post("/v1/session", json={"key": key + "x"}),
            client.get("/v1/searches", headers={"Authorization": f"Bearer {key}x"}),
            client.get("/v1/searches", headers={"Authorization": f"Basic {key}"}),
            client.get("/v1/keys"),
        ]
    assert {answer.status_code for answer in answers} == {200, 400, 401, 422}
    assert all(secret not in answer.text for answer in answers)
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]  # the client is no part of it
    assert ours
    told = [record for record in ours if secret in record.getMessage() or secret in str(vars(record))]
    assert told == []
