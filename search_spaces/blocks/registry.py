"""Every block kind by name."""

from __future__ import annotations

from search_spaces.blocks.base import Block

BLOCKS: dict[str, Block] = {}
