"""Conditional requests: an ETag on what is read, 304 for what the client has already, 412 for what has changed.

The ETag of an answer is the hash of its text. Where the thing has a version that counts its changes of state, the
version comes first: `If-Match` compares versions, so that progress made in the meantime refuses no action.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Header, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service.errors import PreconditionFailed

# Clients may keep the answer but must ask each time whether it still holds, which also checks the key again.
REVALIDATE = "private, no-cache"
IMMUTABLE = "private, max-age=31536000, immutable"
_VERSION = "etag_version"
_TAG = re.compile(r'(?:W/)?"([^"]*)"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        description="ETag of the search as it was read: 412 if its state has changed since.",
    ),
]


def versioned(request: Request, version: int) -> None:
    """The answer to this request is of a thing at this version."""
    setattr(request.state, _VERSION, version)


def require_match(if_match: str | None, version: int) -> None:
    """Raises PreconditionFailed unless there is no condition, it is ``*``, or it names this version."""
    if if_match is None or if_match.strip() == "*":
        return
    if str(version) not in {tag.partition("-")[0] for tag in _TAG.findall(if_match)}:
        raise PreconditionFailed("the search has changed since it was read: read it again and decide anew")


class Conditional:
    """Tags successful answers in JSON to GET; answers 304 where `If-None-Match` names the tag (also of a file)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(scope, send))


class _Answer:
    """One answer on its way out: held back while it is being hashed, dropped after a 304."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.send = send
        self.known = _TAG.findall(Headers(scope=scope).get("if-none-match", ""))
        self.any_known = Headers(scope=scope).get("if-none-match", "").strip() == "*"
        self.held: Message | None = None
        self.body: list[bytes] = []
        self.dropping = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self.dropping:
            return
        elif self.held is None or message["type"] != "http.response.body":
            await self.send(message)
        else:
            self.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self.held)

    async def _start(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if message["status"] != 200:
            await self.send(message)
        elif "etag" in headers:
            await self._unless_known(message, headers["etag"])
        elif headers.get("content-type", "").partition(";")[0] == "application/json":
            self.held = message
        else:
            await self.send(message)

    async def _finish(self, start: Message) -> None:
        body = b"".join(self.body)
        digest = hashlib.sha256(body).hexdigest()[:32]
        version = self.scope.get("state", {}).get(_VERSION)
        headers = MutableHeaders(scope=start)
        headers["ETag"] = f'"{digest}"' if version is None else f'"{version}-{digest}"'
        headers.setdefault("Cache-Control", REVALIDATE)
        await self._unless_known(start, headers["ETag"])
        if not self.dropping:
            await self.send({"type": "http.response.body", "body": body})

    async def _unless_known(self, start: Message, tag: str) -> None:
        """Pass the start on, or send 304 in its place and drop the body."""
        if not self.any_known and not set(_TAG.findall(tag)) & set(self.known):
            await self.send(start)
            return
        self.dropping = True
        kept = ("etag", "cache-control", "content-location", "vary")
        headers = [(name, value) for name, value in start["headers"] if name.decode("latin-1").lower() in kept]
        await self.send({"type": "http.response.start", "status": 304, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})
