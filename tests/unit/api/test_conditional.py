"""ETags, 304, versions in If-Match, compression and the rate limit, on a small application behind the real layers."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from nas_service.api import auth
from nas_service.api.compression import Compressed
from nas_service.api.conditional import Conditional, require_match, versioned
from nas_service.api.limits import Envelope
from nas_service.api.throttle import RateLimit
from nas_service.errors import PreconditionFailed

KEY = auth.Principal("key_1", "reader", frozenset({auth.ADMIN}))
OTHER = auth.Principal("key_2", "other", frozenset({auth.ADMIN}))
CONTENT = bytes(range(256)) * 40


def make(tmp_path, rate=RateLimit, *limits) -> TestClient:
    state = {"n": 0}
    (tmp_path / "file.bin").write_bytes(CONTENT)
    (tmp_path / "app.js").write_bytes(b"let a = 1;\n" * 500)

    async def document(request: Request) -> JSONResponse:
        versioned(request, 3)
        return JSONResponse({"n": state["n"], "text": "x" * 5000})

    async def change(request: Request) -> JSONResponse:
        state["n"] += 1
        return JSONResponse({"text": "x" * 5000})

    async def download(request: Request) -> FileResponse:
        return FileResponse(
            tmp_path / "file.bin", media_type="application/octet-stream", headers={"ETag": '"of-the-file"'}
        )

    async def script(request: Request) -> FileResponse:
        return FileResponse(tmp_path / "app.js")

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(iter(["data: " + "x" * 5000 + "\n\n"]), media_type="text/event-stream")

    async def gone(request: Request) -> Response:
        return JSONResponse({"text": "x" * 5000}, 404)

    async def unfinished(request: Request) -> Response:
        return JSONResponse({"text": "x" * 5000}, 202)

    app = Starlette(
        routes=[
            Route("/v1/document", document),
            Route("/v1/change", change, methods=["POST"]),
            Route("/v1/download", download),
            Route("/v1/script", script),
            Route("/v1/stream", stream),
            Route("/v1/gone", gone),
            Route("/v1/unfinished", unfinished),
        ]
    )
    layers = rate(Conditional(app), *(limits or (1000.0, 1000)))
    layers = auth.Authentication(layers, {"one": KEY, "two": OTHER}.get, lambda _: None)
    return TestClient(
        Envelope(Compressed(layers)), headers={"Authorization": "Bearer one"}, raise_server_exceptions=False
    )


PLAIN = {"Accept-Encoding": "identity"}


def test_what_is_unchanged_is_not_sent_again(tmp_path):
    client = make(tmp_path)
    first = client.get("/v1/document", headers=PLAIN)
    tag = first.headers["etag"]
    assert tag.startswith('"3-')
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get("/v1/document", headers={**PLAIN, "If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == tag
        assert "content-length" not in again.headers
        assert again.headers["x-content-type-options"] == "nosniff"
    assert client.get("/v1/document", headers={"If-None-Match": '"other"'}).status_code == 200
    client.post("/v1/change")
    changed = client.get("/v1/document", headers={**PLAIN, "If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_only_successful_reading_is_tagged(tmp_path):
    client = make(tmp_path)
    read = [client.get(f"/v1/{name}") for name in ("gone", "unfinished", "stream")]
    for answer in (client.post("/v1/change"), *read):
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    assert client.get("/v1/gone", headers={"If-None-Match": "*"}).status_code == 404


def test_a_file_keeps_its_own_tag_and_its_ranges(tmp_path):
    client = make(tmp_path)
    whole = client.get("/v1/download", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in whole.headers
    assert whole.headers["content-length"] == str(len(CONTENT))
    assert whole.headers["etag"] == '"of-the-file"'
    assert client.get("/v1/download", headers={"If-None-Match": '"of-the-file"'}).status_code == 304
    part = client.get("/v1/download", headers={"Range": "bytes=10-19", "Accept-Encoding": "gzip"})
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    part = client.get("/v1/script", headers={"Range": "bytes=0-3", "Accept-Encoding": "gzip"})
    assert (part.status_code, part.content) == (206, b"let ")


@pytest.mark.parametrize("path", ["/v1/document", "/v1/script"])
def test_json_and_static_files_are_compressed(tmp_path, path):
    client = make(tmp_path)
    plain = client.get(path, headers=PLAIN)
    assert "content-encoding" not in plain.headers
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in packed.headers["vary"].lower()
        assert packed.headers["etag"] == "W/" + plain.headers["etag"]
        raw = b"".join(packed.iter_raw())
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 10
    again = client.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


def test_streams_are_not_compressed(tmp_path):
    answer = make(tmp_path).get("/v1/stream", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("given", [None, "*", '"3-abc"', 'W/"3-abc"', '"3"', '"2-x", "3-y"'])
def test_a_condition_that_holds(given):
    require_match(given, 3)


@pytest.mark.parametrize("given", ['"2-abc"', '"33"', "3", "", '"x"', '"30-3"', 'W/"4"'])
def test_a_condition_that_fails(given):
    with pytest.raises(PreconditionFailed):
        require_match(given, 3)


def test_one_key_may_burst_and_then_waits(tmp_path):
    now = [0.0]
    client = make(tmp_path, lambda app, *limits: RateLimit(app, *limits, clock=lambda: now[0]), 2.0, 5)
    answers = [client.get("/v1/document") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert [answer.headers["ratelimit"] for answer in answers] == [f'"key";r={n}' for n in (4, 3, 2, 1, 0, 0, 0)]
    refused = answers[-1]
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"key";q=5;w=3'
    assert refused.json()["code"] == "too_many_requests"
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert client.get("/v1/document", headers={"Authorization": "Bearer two"}).status_code == 200
    now[0] += 1.0
    assert [client.get("/v1/document").status_code for _ in range(3)] == [200, 200, 429]
    now[0] += 3600.0
    assert [client.get("/v1/document").status_code for _ in range(6)] == [200] * 5 + [429]


@given(st.floats(0.5, 100), st.integers(1, 50), st.lists(st.floats(0, 5), max_size=60))
def test_never_more_than_the_burst_and_the_rate(rate, burst, pauses):
    now = [0.0]
    limit = RateLimit(None, rate, burst, clock=lambda: now[0])
    passed = 0
    for pause in pauses:
        now[0] += pause
        passed += limit._take("key_1") >= 0
        assert passed <= burst + rate * now[0] + 1e-6
