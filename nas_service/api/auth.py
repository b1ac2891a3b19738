"""Who asks, and may they: every request needs a key or a session unless its path is on the short public list.

The layer sits in front of routing, so a route added anywhere is closed until a rule here opens it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from nas_service.errors import Forbidden, Unauthenticated

READ, WRITE, DOWNLOAD, ADMIN = "search:read", "search:write", "artifact:read", "admin"
SCOPES = (READ, WRITE, DOWNLOAD, ADMIN)
COOKIE = "nas_session"
# HEAD comes here as GET.
_SAFE = frozenset({"GET", "OPTIONS"})

# Answers without a key: process health, signing in, and the built pages (which hold no data).
PUBLIC = frozenset({("GET", "/livez"), ("GET", "/readyz"), ("POST", "/v1/session")})
PUBLIC_PAGES = ("/", "/favicon.ico", "/ui")

# First match wins; what matches nothing needs `admin`.
_RULES: tuple[tuple[Callable[[str, str], bool], str | None], ...] = (
    (lambda method, path: path == "/v1/session", None),
    (lambda method, path: path.startswith("/v1/keys"), ADMIN),
    (lambda method, path: path.startswith("/v1/exports/") and "/files/" in path, DOWNLOAD),
    (lambda method, path: path.startswith("/v1/") and method in _SAFE, READ),
    (lambda method, path: path == "/metrics" and method in _SAFE, READ),
    (lambda method, path: path.startswith("/v1/"), WRITE),
)


@dataclass(frozen=True)
class Principal:
    """An authenticated caller: the id of its key, its name and what it may do."""

    id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ADMIN in self.scopes


Lookup = Callable[[str], Principal | None]


class Authentication:
    """Puts the principal into ``request.state.principal`` or raises 401 or 403.

    ``by_key`` and ``by_session`` map the presented secret to a principal, or None; they may block (run in a thread).
    Answers are remembered for ``remember_s``, which bounds how long a revoked key goes on working.
    """

    def __init__(self, app: ASGIApp, by_key: Lookup, by_session: Lookup, remember_s: float = 2.0) -> None:
        self.app = app
        self._by_key = _Remembered(by_key, remember_s)
        self._by_session = _Remembered(by_session, remember_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            _refuse_other_origins(scope)
            if not is_public(scope["method"], scope["path"]):
                principal = await self._principal(scope)
                needed = scope_for(scope["method"], scope["path"])
                if needed is not None and not principal.may(needed):
                    raise Forbidden(f"this key lacks the scope '{needed}'")
                scope.setdefault("state", {})["principal"] = principal
        await self.app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        authorization = headers.get("authorization", "")
        if authorization:
            scheme, _, secret = authorization.partition(" ")
            found = await run_sync(self._by_key, secret.strip()) if scheme.lower() == "bearer" else None
            if found is None:
                raise Unauthenticated("The key is unknown, expired or revoked.")
            return found
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        found = await run_sync(self._by_session, token) if token else None
        if found is None:
            raise Unauthenticated("Send an API key as `Authorization: Bearer nas_...`, or sign in.")
        if scope["method"] not in _SAFE and headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Forbidden("a signed-in browser may change things from this site only")
        return found


def is_public(method: str, path: str) -> bool:
    """Whether a request is answered without a key."""
    if (method, path) in PUBLIC:
        return True
    return method == "GET" and (path in PUBLIC_PAGES or path.startswith("/ui/"))


def scope_for(method: str, path: str) -> str | None:
    """The scope a request needs; None where any valid key will do."""
    for matches, needed in _RULES:
        if matches(method, path):
            return needed
    return ADMIN


def _refuse_other_origins(scope: Scope) -> None:
    """A browser names the page's origin on unsafe requests; only our own may change anything."""
    if scope["method"] in _SAFE:
        return
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise Forbidden("requests from other origins are refused")


class _Remembered:
    """A lookup whose answers, also None, are kept for a short time."""

    _MAX = 1000

    def __init__(self, lookup: Lookup, remember_s: float) -> None:
        self._lookup = lookup
        self._remember_s = remember_s
        self._known: dict[bytes, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, secret: str) -> Principal | None:
        now = time.monotonic()
        name = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        with self._lock:
            kept = self._known.get(name)
            if kept is not None and now < kept[0]:
                return kept[1]
        found = self._lookup(secret)
        with self._lock:
            if len(self._known) >= self._MAX:
                self._known.clear()
            self._known[name] = (now + self._remember_s, found)
        return found
