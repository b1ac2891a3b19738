"""The torch modules of block kinds that installed Python packages add (see `search_spaces.plugins`)."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.elastic.spec import ModuleSpec
from search_spaces.plugins import BLOCK_GROUP, MODULE_GROUP, PluginError, described, entries_of, loaded


def added_modules(known: Mapping[str, ModuleSpec]) -> dict[str, ModuleSpec]:
    """Torch modules of the block kinds that installed packages add.

    Raises PluginError where a block has no module or a module no block.
    """
    blocks = {entry.name: entry for entry in entries_of(BLOCK_GROUP)}
    modules = {entry.name: entry for entry in entries_of(MODULE_GROUP)}
    for name in sorted(set(blocks) ^ set(modules)):
        there = blocks.get(name) or modules[name]
        missing = MODULE_GROUP if name in blocks else BLOCK_GROUP
        raise PluginError(f"{described(there)} has no counterpart of the name '{name}' in the group {missing}")
    found: dict[str, ModuleSpec] = {}
    for name, entry in modules.items():
        spec = loaded(entry)
        if not isinstance(spec, ModuleSpec) or name in known:
            raise PluginError(f"{described(entry)} is not a ModuleSpec of a new name")
        found[name] = spec
    return found
