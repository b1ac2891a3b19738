"""The layers in front of the routes, on a small application: host, authentication, scopes, origins, sizes, headers."""

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from nas_service.api import auth
from nas_service.api.limits import CSP, BoundedRequest, Envelope, HeadAsGet, KnownHost

READER = auth.Principal("key_1", "reader", frozenset({auth.READ}))
WRITER = auth.Principal("key_2", "writer", frozenset({auth.READ, auth.WRITE}))
ADMIN = auth.Principal("key_3", "admin", frozenset({auth.ADMIN}))
KEYS = {"nas_reader": READER, "nas_writer": WRITER, "nas_admin": ADMIN}


async def echo(request: Request) -> JSONResponse:
    principal = getattr(request.state, "principal", None)
    return JSONResponse({"who": principal.name if principal else None, "size": len(await request.body())})


async def fail(request: Request) -> JSONResponse:
    raise RuntimeError("a secret detail")


async def fail_first(scope, receive, send) -> None:
    raise RuntimeError("a secret detail")


def make(lookup=KEYS.get, remember_s=0.0) -> TestClient:
    paths = ["/", "/livez", "/metrics", "/debug", "/v1/searches", "/v1/session", "/v1/keys"]
    paths += ["/v1/exports/{id}/files/{name}"]
    app = Starlette(
        routes=[Route(path, echo, methods=["GET", "POST", "DELETE"]) for path in paths] + [Route("/v1/fail", fail)]
    )
    layers = BoundedRequest(app)
    layers = auth.Authentication(layers, lookup, {"cookie-token": WRITER}.get, remember_s)
    layers = Envelope(KnownHost(layers, ["testserver", "::1"]))
    return TestClient(layers, raise_server_exceptions=False)


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer nas_{name}"}


@pytest.mark.parametrize("path", ["/metrics", "/debug", "/v1/searches", "/v1/keys", "/nowhere", "/v1/../debug"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_is_open_without_a_key(path, method):
    for headers in ({}, key("wrong"), {"Authorization": "Basic nas_admin"}, {"Cookie": "nas_session=wrong"}):
        answer = make().request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"


def test_public_paths_are_few():
    client = make()
    assert client.get("/livez").json()["who"] is None
    assert client.get("/").status_code == 200
    assert client.post("/v1/session").status_code == 200
    assert client.get("/v1/session").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/searches", {"reader", "writer", "admin"}),
        ("POST", "/v1/searches", {"writer", "admin"}),
        ("DELETE", "/v1/searches", {"writer", "admin"}),
        ("GET", "/v1/keys", {"admin"}),
        ("GET", "/debug", {"admin"}),
        ("GET", "/metrics", {"reader", "writer", "admin"}),
        ("GET", "/v1/exports/exp_1/files/model.safetensors", {"admin"}),
        ("GET", "/v1/session", {"reader", "writer", "admin"}),
    ],
)
def test_scopes(method, path, allowed):
    for name in ("reader", "writer", "admin"):
        answer = make().request(method, path, headers=key(name))
        assert answer.status_code == (200 if name in allowed else 403), name
        if answer.status_code == 200:
            assert answer.json()["who"] == name


def test_sessions_change_things_from_this_site_only():
    client = make()
    cookie = {"Cookie": "nas_session=cookie-token"}
    assert client.post("/v1/searches", headers=cookie).status_code == 200
    assert client.post("/v1/searches", headers={**cookie, "Origin": "http://testserver"}).status_code == 200
    assert client.post("/v1/searches", headers={**cookie, "Origin": "http://evil.example"}).status_code == 403
    assert client.post("/v1/searches", headers={**cookie, "Origin": "null"}).status_code == 403
    assert client.post("/v1/searches", headers={**cookie, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/v1/session", headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_revoked_key_stops_working():
    keys = dict(KEYS)
    client = make(keys.get)
    assert client.get("/v1/searches", headers=key("reader")).status_code == 200
    del keys["nas_reader"]
    assert client.get("/v1/searches", headers=key("reader")).status_code == 401


def test_lookups_are_remembered_for_a_moment():
    calls = []
    client = make(lambda secret: calls.append(secret) or KEYS.get(secret), remember_s=60)
    for _ in range(3):
        assert client.get("/v1/searches", headers=key("reader")).status_code == 200
    assert calls == ["nas_reader"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("testserver", 200),
        ("TestServer:8080", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("testserver.evil.example", 421),
        ("", 400),
    ],
)
def test_hosts(host, status):
    assert make().get("/livez", headers={"Host": host}).status_code == status


def test_bodies_are_bounded_and_json():
    client = make()
    headers = key("writer")
    post = lambda **kwargs: client.post("/v1/searches", **kwargs).status_code  # noqa: E731
    assert post(headers=headers, json={"a": 1}) == 200
    assert post(headers=headers, content=b'{"a": 1}') == 415
    assert post(headers={**headers, "Content-Type": "text/plain"}, content=b"{}") == 415
    assert (
        post(headers={**headers, "Content-Type": "application/json", "Content-Encoding": "gzip"}, content=b"x") == 415
    )
    assert post(headers={**headers, "Content-Type": "application/json"}, content=b"{") == 400
    assert post(headers=headers, json="x" * 2**20) == 413
    assert post(headers={**headers, "Content-Length": "9" * 19}, content=b"") in (400, 413)
    chunks = (b"x" * 65536 for _ in range(17))
    assert post(headers={**headers, "Content-Type": "application/json"}, content=chunks) == 413
    answer = client.post("/v1/searches", headers=headers, json={"a": "\0"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/a"


def test_head_ends_what_get_would_stream_for_ever():
    ended, routes = [], []

    async def endless():
        try:
            while True:
                yield b"data: 1\n\n"
                await anyio.sleep(0.01)
        finally:
            ended.append(True)

    async def stream(request):
        return StreamingResponse(endless(), media_type="text/event-stream")

    app = Envelope(HeadAsGet(Starlette(routes=[Route("/v1/stream", stream)])), lambda *seen: routes.append(seen[:3]))
    answer = TestClient(app).head("/v1/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert ended == [True]
    assert routes == [("HEAD", "/v1/stream", 200)]


def test_a_body_that_drips_is_given_up():
    async def never(request):
        raise AssertionError("the application is not reached")

    async def send_one_byte_and_wait():
        pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive():
            if pieces:
                return pieces.pop()
            await anyio.sleep_forever()

        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": [(b"host", b"h")], "query_string": b""}
        await Envelope(BoundedRequest(never, max_read_s=0.05))(scope, receive, send)
        return sent[0]["status"]

    assert anyio.run(send_one_byte_and_wait) == 408


@pytest.mark.parametrize("query", ["a=%00", "a=%ff", "a=" + "x" * 9000])
def test_bad_urls_are_refused(query):
    assert make().get("/v1/searches?" + query, headers=key("reader")).status_code in (400, 414)


def test_every_answer_has_the_headers_and_an_id():
    client = make()
    for answer in (client.get("/livez"), client.get("/debug"), client.get("/livez", headers={"Host": "evil"})):
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 16
    assert client.get("/livez", headers={"X-Request-Id": "my-request-1"}).headers["x-request-id"] == "my-request-1"
    assert client.get("/livez", headers={"X-Request-Id": "a b\tc d e f g"}).headers["x-request-id"] != "a b\tc d e f g"


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("given", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-more"])
def test_a_trace_goes_on(given):
    answer = make().get("/livez", headers={"traceparent": given})
    assert answer.headers["traceparent"] == f"00-{TRACE}-{answer.headers['x-request-id']}-{given[53:55]}"
    named = make().get("/livez", headers={"traceparent": given, "X-Request-Id": "my-request-1"})
    assert named.headers["traceparent"].split("-")[1] == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_is_no_trace_is_ignored(given):
    answer = make().get("/livez", headers={"traceparent": given})
    assert answer.status_code == 200
    assert "traceparent" not in answer.headers


def test_a_failure_tells_nothing():
    answer = make().get("/v1/fail", headers=key("reader"))
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_failure_before_any_route_is_a_problem():
    client = TestClient(Envelope(fail_first), raise_server_exceptions=False)
    answer = client.get("/")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
