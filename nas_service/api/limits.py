"""ASGI layers that judge a request before any route sees it: host, size, text of the URL, body; and headers of answers.

From the outside in: ``Envelope`` (request id, security headers, last resort for errors), ``HeadAsGet``, compression,
``KnownHost``, authentication (`auth.py`), the rate limit (`throttle.py`), conditional requests, ``BoundedRequest``.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service import logs
from nas_service.api import problems, strict_json
from nas_service.api.tracing import trace_of
from nas_service.errors import NasError, TooLarge

MAX_BODY_BYTES = 1024 * 1024
MAX_URL_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
# A body arrives within this time, or a slow client would hold its connection for ever.
MAX_READ_S = 20.0
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# method, route template, status, seconds
Observe = Callable[[str, str, int, float], None]
log = logging.getLogger("nas.api")
PROBES = ("/livez", "/readyz", "/metrics")  # asked every few seconds by machines


class Envelope:
    """Outermost: gives the request an id, takes up its trace, adds security headers, turns what nothing caught into a
    500 problem."""

    def __init__(self, app: ASGIApp, observe: Observe | None = None) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        trace = trace_of(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        start = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Request-Id"] = request_id
                if trace is not None:
                    headers["traceparent"] = trace.parent(request_id)
            await send(message)

        with logs.about(request_id=request_id, trace_id=None if trace is None else trace.id):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception as error:
                if not isinstance(error, NasError):
                    log.exception("%s %s failed", scope["method"], scope["path"])
                if status == 0:
                    known = error if isinstance(error, NasError) else problems.failure()
                    await problems.response(known, scope["path"], request_id)(scope, receive, send_with_headers)
                elif status < 500:
                    raise  # the answer has begun: all that is left is to break it off
            finally:
                duration_s = time.perf_counter() - start
                if self.observe is not None:
                    route = getattr(scope.get("route"), "path", "unmatched")
                    self.observe(scope["method"], route, status, duration_s)
                ids = {name: value for name, value in scope.get("path_params", {}).items() if name in logs.IDS}
                with logs.about(**ids):
                    level = logging.DEBUG if scope["path"] in PROBES else logging.INFO
                    log.log(level, "%s %s: %d, %.1f ms", scope["method"], scope["path"], status, duration_s * 1e3)


class HeadAsGet:
    """Answers HEAD with what GET would answer, headers alone; so every route that has GET has HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        with anyio.CancelScope() as answering:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.body":
                    message = {"type": "http.response.body", "body": b""}
                    answering.cancel()  # no file is read to its end and no stream stays open
                await send(message)

            try:
                await self.app(asked, receive, send_head)
            finally:
                scope.update(asked, method="HEAD")  # the layers outside name the route in logs and metrics


class KnownHost:
    """Refuses requests whose Host header is not in the allow-list (DNS rebinding): 421; without one: 400."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self.app = app
        self.allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or not hosts[0]:
                raise problems.BadRequest("exactly one Host header is required")
            if _host_name(hosts[0]) not in self.allowed:
                raise problems.MisdirectedRequest("the Host header names no host of this service")
        await self.app(scope, receive, send)


class BoundedRequest:
    """Bounds URL, headers and body, and reads JSON bodies strictly; the application gets the body in one piece."""

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES, max_read_s: float = MAX_READ_S) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.max_read_s = max_read_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _check_url(scope)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise problems.from_status(431, f"the headers may have at most {MAX_HEADER_BYTES} bytes")
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self.max_body_bytes:
            raise TooLarge(f"the body may have at most {self.max_body_bytes} bytes")
        if scope["method"] in ("GET", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        try:
            with anyio.fail_after(self.max_read_s):
                body = await self._read(receive)
        except TimeoutError:
            raise problems.from_status(408, f"the body did not arrive within {self.max_read_s:g} s") from None
        if body is None:
            return
        if body:
            if headers.get("content-encoding", "identity") != "identity":
                raise problems.UnsupportedMediaType("compressed bodies are not accepted")
            media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "application/json":
                raise problems.UnsupportedMediaType("send the body as application/json")
            strict_json.parse(body)
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, or None when the client has gone."""
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            size += len(piece)
            if size > self.max_body_bytes:
                raise TooLarge(f"the body may have at most {self.max_body_bytes} bytes")
            pieces.append(piece)
            if not message.get("more_body", False):
                return b"".join(pieces)


def _check_url(scope: Scope) -> None:
    raw = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    query = scope.get("query_string", b"")
    if len(raw) + len(query) > MAX_URL_BYTES:
        raise problems.from_status(414, f"the URL may have at most {MAX_URL_BYTES} bytes")
    for part in (raw, query):
        decoded = unquote_to_bytes(part)
        if b"\0" in decoded:
            raise problems.BadRequest("the URL contains the character U+0000")
        try:
            decoded.decode("utf-8")
        except UnicodeDecodeError:
            raise problems.BadRequest("the URL is not UTF-8") from None


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    if 8 <= len(given) <= 64 and given.isascii() and given.replace("-", "").replace("_", "").isalnum():
        return given
    return secrets.token_hex(8)
