"""Opaque cursors: a position in a list, signed, and bound to the filters it was made for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from nas_service.api.problems import BadRequest

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_SIGNATURE_BYTES = 12


class Cursors:
    """Writes and reads page tokens with the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, position: Any, filters: dict[str, Any]) -> str:
        """A token for the page after ``position`` (plain JSON) under ``filters``."""
        body = json.dumps([position, _digest(filters)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")

    def read(self, token: str | None, filters: dict[str, Any]) -> Any:
        """The position in a token, None for the first page.

        Raises BadRequest for a token that is forged, damaged or was made with other filters.
        """
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise BadRequest("page_token: not a token of this service") from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise BadRequest("page_token: not a token of this service")
        position, digest = json.loads(body)
        if digest != _digest(filters):
            raise BadRequest("page_token: it was made with other filters; repeat those, or start without a token")
        return position

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def _digest(filters: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(filters, sort_keys=True).encode()).hexdigest()[:16]
