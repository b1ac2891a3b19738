"""An architecture: one assignment of all active choices of a space, with its canonical JSON and hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from search_spaces.network import Scalar


@dataclass(frozen=True)
class Architecture:
    """Active choices only, sorted by name. Equal architectures of one space have equal hashes, and only they."""

    space_id: str
    choices: dict[str, Scalar]

    @property
    def canonical_json(self) -> str:
        return json.dumps(self.choices, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def hash(self) -> str:
        """`arc_` + 32 hex digits of sha256(space id + canonical JSON)."""
        digest = hashlib.sha256((self.space_id + self.canonical_json).encode()).hexdigest()
        return "arc_" + digest[:32]
