"""Prefixed identifiers `<prefix>_<time-ordered 128 bits in hex>`: they sort by creation and name their kind."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from typing import Any

PREFIXES = {
    "search": "srch",
    "trial": "tri",
    "job": "job",
    "supernet": "sup",
    "dataset": "dat",
    "device": "dev",
    "export": "exp",
    "measurement": "mea",
    "estimator": "lat",
    "upload": "upl",
    "key": "key",
}

ID_PATTERN = re.compile(r"^[a-z]{3,4}_[0-9a-f]{32}$")


def new_id(kind: str) -> str:
    """A fresh id such as ``srch_0193...``: 48 bits of Unix milliseconds followed by 80 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{PREFIXES[kind]}_{milliseconds:012x}{secrets.token_hex(10)}"


def content_key(*parts: Any) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of ``parts``; equal content has an equal key."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
