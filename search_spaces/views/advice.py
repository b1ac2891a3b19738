"""What is probably not meant in a document that compiles: choices, constraints and templates without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from search_spaces.compiling.wiring import genes_of_ops
from search_spaces.errors import Problem, SpaceError, pointer_of
from search_spaces.language.grammar import kinds_of_node
from search_spaces.space import SearchSpace

_ONCE = re.compile(r"^[01]$|\?\s*[01]\s*:\s*[01]\s*$")  # counts of a node that exists under a condition
_READS_I = re.compile(r"^=(.*\W)?i(\W|$)")


def advice_on(space: SearchSpace) -> list[Problem]:
    """Findings, none of which stops anything."""
    program, raw = space.program, space.document.to_json()
    used = set(genes_of_ops(program.ops))
    for value in program.input_values.values():
        used |= value.genes
    for guards in program.guards:
        for guard in guards:
            used |= guard.genes
    found = [
        Problem("", "unused", f"the choice '{gene.name}' changes no network", "use its value, or remove it")
        for number, gene in enumerate(program.genes)
        if number not in used and len(gene.options) > 1
    ]
    found += [
        Problem(
            pointer, "unused", f"the constraint excludes nothing: {text[:80]}", "compare with options of the choice"
        )
        for pointer, text in space.idle_constraints
        if text.startswith("=")
    ]
    templates = raw.get("templates") or {}
    named = set(_uses(raw["network"])) | {name for body in templates.values() for name in _uses(body)}
    found += [
        Problem(pointer_of("templates", name), "unused", f"the template '{name}' is never used, nor checked")
        for name in sorted(set(templates) - named)
    ]
    found += [
        Problem(pointer, "residual", "what passes here is made small for good", "end a residual: with the layer_scale")
        for pointer in _scaled_alone(raw["network"], ("network",))
    ]
    found += [
        Problem(
            pointer,
            "index",
            "i is 0 in here, where this repeat runs at most once; it hides the i of the repeat around it",
            "write index: j beside the count, and i is the outer one",
        )
        for pointer in _hidden_indices(raw, (), False)
    ]
    found += [
        Problem(
            pointer, "name", f"two {what} here are named '{name}'", "that name means one of them only: rename the other"
        )
        for pointer, what, name in _named_twice(raw)
    ]
    found += [
        Problem(
            pointer,
            "weights",
            f"nothing else in this list of nodes has the weights '{name}', so nothing shares them",
            f"write all blocks that share them in one list; '{name[2:]}' without ./ is for the whole document",
        )
        for pointer, name in _shared_alone(raw)
    ]
    try:
        space.envelopes()
    except SpaceError as error:
        found += [replace(problem, message=f"no supernet can be made: {problem.message}") for problem in error.problems]
    return found


def _shared_alone(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Places of weights ./NAME that one block of its list of nodes has alone, and their names."""
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(raw, ())]
    while stack:
        value, path = stack.pop()
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        stack.extend((item, (*path, key)) for key, item in items)
        if not isinstance(value, list) or path[-1:] == ("one_of",):
            continue
        names = [str(node.get("weights", "")) if isinstance(node, dict) else "" for node in value]
        for position, name in enumerate(names):
            if name.startswith("./") and names.count(name) == 1:
                yield pointer_of(*path, position, "weights"), name


def _named_twice(raw: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Nodes of one list, and choices of its blocks, that have a name which another there has: (pointer, what, name)."""
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(raw, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, dict):
            stack.extend((item, (*path, key)) for key, item in value.items())
            continue
        if not isinstance(value, list):
            continue
        stack.extend((item, (*path, position)) for position, item in enumerate(value))
        taken: set[tuple[str, str]] = set()
        for position, node in enumerate(value):
            if not (isinstance(node, dict) and kinds_of_node(node)) or path[-1:] == ("one_of",):
                continue
            choices = [*node.values(), *(node.get("let") or {}).values()] if "block" in node else []
            named = [("nodes", node.get("name"))]
            named += [("choices", choice.get("name")) for choice in choices if _is_choice(choice)]
            for what, name in named:
                if isinstance(name, str) and (what, name) in taken:
                    yield pointer_of(*path, position), what, name
                elif isinstance(name, str):
                    taken.add((what, name))


def _scaled_alone(value: Any, path: tuple[str | int, ...]) -> Iterator[str]:
    """Places of the learned scales that stand in no residual and no graph, which may add what goes around them."""
    if isinstance(value, dict):
        if value.get("block") == "layer_scale":
            yield pointer_of(*path)
        for key, item in value.items():
            if key not in ("residual", "graph"):
                yield from _scaled_alone(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _scaled_alone(item, (*path, position))


def _hidden_indices(value: Any, path: tuple[str | int, ...], counted: bool) -> Iterator[str]:
    """Places of repeats that run once or never, below one that counts by `i`, whose bodies read `i`."""
    if isinstance(value, dict):
        body = value.get("repeat")
        if isinstance(body, dict) and "index" not in body:
            if counted and _ONCE.search(str(body["count"])) and any(_READS_I.search(t) for t in _texts(body["body"])):
                yield pointer_of(*path, "repeat")
            counted = True
        for key, item in value.items():
            yield from _hidden_indices(item, (*path, key), counted)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _hidden_indices(item, (*path, position), counted)


def _texts(value: Any) -> Iterator[str]:
    """All texts inside a part of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in ("one_of", "int", "float", "many_of"))


def _uses(value: Any) -> Iterator[str]:
    """Names of templates that some part of a document uses."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("use"), str):
                yield item["use"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
