"""Block kinds that installed Python packages add, found by entry points. Documents name kinds, never code.

A package declares each kind twice, under one name: in the group `nas.blocks` an instance of a `Block` (parameters,
shapes, costs; must import without torch) and in the group `nas.block_modules` its `ModuleSpec` (the torch module):

    [project.entry-points."nas.blocks"]
    my_block = "my_package.block:MY_BLOCK"
    [project.entry-points."nas.block_modules"]
    my_block = "my_package.module:MY_MODULE"
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from search_spaces.blocks.base import Block

BLOCK_GROUP = "nas.blocks"
MODULE_GROUP = "nas.block_modules"


class PluginError(ImportError):
    """An installed package adds a block kind that cannot be used; the message names the package and what is wrong."""


def added_blocks(known: Mapping[str, Block]) -> dict[str, Block]:
    """Block kinds of installed packages. Raises PluginError for one that is built in, twice, or no `Block`."""
    found: dict[str, Block] = {}
    for entry in entries_of(BLOCK_GROUP):
        block = loaded(entry)
        if not isinstance(block, Block):
            raise PluginError(f"{described(entry)} is a {type(block).__name__}, not an instance of Block")
        if block.kind != entry.name:
            raise PluginError(f"{described(entry)} names itself '{block.kind}'; both names must agree")
        if entry.name in known or entry.name in found:
            raise PluginError(f"{described(entry)} takes a name that another block has")
        found[entry.name] = block
    return found


def entries_of(group: str) -> list[EntryPoint]:
    """What installed packages declare in a group, in a fixed order."""
    return sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value))


def loaded(entry: EntryPoint) -> Any:
    """The object of an entry point. Raises PluginError where it cannot be imported."""
    try:
        return entry.load()
    except Exception as error:  # whatever a foreign package raises, the message must name it
        raise PluginError(f"{described(entry)} cannot be imported: {error}") from error


def described(entry: EntryPoint) -> str:
    """The entry point and its package, for messages."""
    package = entry.dist.name if entry.dist is not None else "an installed package"
    return f"the block '{entry.name}' of {package} ({entry.value})"
