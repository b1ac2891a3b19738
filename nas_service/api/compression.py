"""gzip for JSON, text and static files; never for event streams, parts of files, or downloads that are checked."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MINIMUM_BYTES = 1024
LEVEL = 4  # columns of numbers shrink as much as at 6, in a third of the time
# Weights hardly shrink, and Content-Length and Repr-Digest of a download are those of the file.
EXCLUDED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream")


class Compressed:
    """Compresses for clients that accept it. The ETag of a compressed answer is weak: its bytes are others."""

    def __init__(self, app: ASGIApp) -> None:
        self.gzip = GZipMiddleware(app, MINIMUM_BYTES, LEVEL, exclude_content_types=EXCLUDED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_weakened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                if "content-encoding" in headers and tag.startswith('"'):
                    headers["ETag"] = f"W/{tag}"
            await send(message)

        await self.gzip(scope, receive, send_weakened)
