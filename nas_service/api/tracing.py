"""W3C Trace Context (Level 1): the trace a request belongs to, by which its log lines and its jobs are found again."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from starlette.datastructures import Headers

_PARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_SPAN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Trace:
    """A trace that the caller has begun; ``flags`` say whether it is recorded."""

    id: str
    flags: str

    def parent(self, request_id: str) -> str:
        """The header for the answer: this request is the span, under its own id where that has the form of one."""
        span = request_id if _SPAN.fullmatch(request_id) else secrets.token_hex(8)
        return f"00-{self.id}-{span}-{self.flags}"


def trace_of(headers: Headers) -> Trace | None:
    """What ``traceparent`` says; None without the header, and with one that is not valid, which is to be ignored."""
    given = headers.getlist("traceparent")
    found = _PARENT.match(given[0].strip()) if len(given) == 1 else None
    if found is None or found["version"] == "ff" or not found["trace"].strip("0") or not found["span"].strip("0"):
        return None
    rest = given[0].strip()[found.end() :]
    if rest and (found["version"] == "00" or not rest.startswith("-")):  # later versions may say more
        return None
    return Trace(found["trace"], found["flags"])
