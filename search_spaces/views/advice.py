"""What is probably not meant in a document that compiles: choices, constraints and templates without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from search_spaces.compiling.program import Program
from search_spaces.compiling.wiring import genes_of_ops
from search_spaces.errors import Problem, SpaceError, pointer_of
from search_spaces.language.grammar import kinds_of_node
from search_spaces.shapes import ImageShape
from search_spaces.space import SearchSpace

_ONCE = re.compile(r"^[01]$|\?\s*[01]\s*:\s*[01]\s*$")  # counts of a node that exists under a condition
_READS_I = re.compile(r"^=(.*\W)?i(\W|$)")


def advice_on(space: SearchSpace) -> list[Problem]:
    """Findings, none of which stops anything."""
    raw = space.document.to_json()
    return [
        *_unused_choices(space.program),
        *_idle_constraints(space),
        *_unused_templates(raw),
        *_scaled_alone(raw["network"]),
        *_hidden_indices(raw, (), False),
        *_named_twice(raw),
        *_shared_alone(raw),
        *_sets_of_one(raw),
        *_of_the_supernet(space),
    ]


def _unused_choices(program: Program) -> Iterator[Problem]:
    """Choices of which neither the input nor an operation nor the existence of another choice is a function."""
    values = [*program.input_values.values(), *(guard for guards in program.guards for guard in guards)]
    used = genes_of_ops(program.ops).union(*(value.genes for value in values))
    for number, gene in enumerate(program.genes):
        if number not in used and len(gene.options) > 1:
            message = f"the choice '{gene.name}' changes no network"
            yield Problem("", "unused", message, "use its value, or remove it")


def _idle_constraints(space: SearchSpace) -> Iterator[Problem]:
    for pointer, text in space.idle_constraints:
        if text.startswith("="):
            message = f"the constraint excludes nothing: {text[:80]}"
            yield Problem(pointer, "unused", message, "compare with options of the choice")


def _unused_templates(raw: dict[str, Any]) -> Iterator[Problem]:
    templates = raw.get("templates") or {}
    uses = [part.get("use") for _, part in _parts([raw["network"], templates]) if isinstance(part, dict)]
    for name in sorted(templates.keys() - {use for use in uses if isinstance(use, str)}):
        yield Problem(pointer_of("templates", name), "unused", f"the template '{name}' is never used, nor checked")


def _scaled_alone(network: list[Any]) -> Iterator[Problem]:
    """Learned scales, but for those that start at 1, in no residual and no graph, which may add what goes around."""
    for path, value in _parts(network, ("network",)):
        scales = isinstance(value, dict) and value.get("block") == "layer_scale" and value.get("start") != 1
        if scales and not {"residual", "graph"} & {*path}:
            message = "what passes here is made small for good"
            yield Problem(pointer_of(*path), "residual", message, "end a residual: with the layer_scale")


def _hidden_indices(value: Any, path: tuple[str | int, ...], counted: bool) -> Iterator[Problem]:
    """Repeats that run once or never, below one that counts by `i` (`counted`), whose bodies read `i`."""
    if isinstance(value, dict):
        body = value.get("repeat")
        if isinstance(body, dict) and "index" not in body:
            if counted and _ONCE.search(str(body["count"])) and _reads_i(body["body"]):
                yield Problem(
                    pointer_of(*path, "repeat"),
                    "index",
                    "i is 0 in here, where this repeat runs at most once; it hides the i of the repeat around it",
                    "write index: j beside the count, and i is the outer one",
                )
            counted = True
        for key, item in value.items():
            yield from _hidden_indices(item, (*path, key), counted)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _hidden_indices(item, (*path, position), counted)


def _named_twice(raw: dict[str, Any]) -> Iterator[Problem]:
    """Nodes of one list, and choices of its blocks, that have a name which another there has."""
    for path, nodes in _node_lists(raw):
        taken: set[tuple[str, str]] = set()
        for position, node in enumerate(nodes):
            if not (isinstance(node, dict) and kinds_of_node(node)):
                continue
            choices = [*node.values(), *(node.get("let") or {}).values()] if "block" in node else []
            named = [("nodes", node.get("name"))]
            named += [("choices", choice.get("name")) for choice in choices if _is_choice(choice)]
            for what, name in named:
                if isinstance(name, str) and (what, name) in taken:
                    message = f"two {what} here are named '{name}'"
                    advice = "that name means one of them only: rename the other"
                    yield Problem(pointer_of(*path, position), "name", message, advice)
                elif isinstance(name, str):
                    taken.add((what, name))


def _shared_alone(raw: dict[str, Any]) -> Iterator[Problem]:
    """Weights ./NAME that one block of its list of nodes has alone."""
    for path, nodes in _node_lists(raw):
        names = [str(node.get("weights", "")) if isinstance(node, dict) else "" for node in nodes]
        for position, name in enumerate(names):
            if name.startswith("./") and names.count(name) == 1:
                yield Problem(
                    pointer_of(*path, position, "weights"),
                    "weights",
                    f"nothing else in this list of nodes has the weights '{name}', so nothing shares them",
                    f"write all blocks that share them in one list; '{name[2:]}' without ./ is for the whole document",
                )


def _sets_of_one(raw: dict[str, Any]) -> Iterator[Problem]:
    """Sets of nodes of which there is one."""
    for path, value in _parts(raw):
        choose = value.get("choose") if isinstance(value, dict) and value.get("k") == "any" else None
        if isinstance(choose, list) and len(choose) == 1:
            yield Problem(
                pointer_of(*path),
                "choose",
                "any set of one node is always that node: nothing is chosen here",
                "name more nodes; for one that may be left out write one_of: with zero beside identity",
            )


def _of_the_supernet(space: SearchSpace) -> list[Problem]:
    """Why there can be no supernet, or the first block whose hidden width seems meant as a ratio."""
    try:
        envelopes = space.envelopes()
    except SpaceError as error:
        return [replace(problem, message=f"no supernet can be made: {problem.message}") for problem in error.problems]
    for key, envelope in envelopes.items():
        if envelope.block in ("mbconv", "feed_forward", "map_feed_forward", "residual_mlp"):
            widths = [int(x.channels if isinstance(x, ImageShape) else x.features) for x in envelope.in_shapes[0]]
            most, least = max(int(str(mid)) for mid in envelope.params["mid"]), min(widths)
            if most <= 8 and 2 * most < least:
                message = f"mid of {key} is at most {most}, of {least} inputs: it is a number of channels or features"
                advice = 'for a choice of ratios write let: {e: {one_of: [3, 4]}}, mid: "=in * e"'
                return [Problem("", "ratio", f"{message}, no ratio", advice)]
    return []


def _parts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Everything in a part of a document, itself first and in order, each with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _parts(item, (*path, key))


def _node_lists(raw: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], list[Any]]]:
    """The lists of a document, those of alternatives aside."""
    return ((path, value) for path, value in _parts(raw) if isinstance(value, list) and path[-1:] != ("one_of",))


def _reads_i(value: Any) -> bool:
    return any(isinstance(part, str) and _READS_I.search(part) for _, part in _parts(value))


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in ("one_of", "int", "float", "many_of"))
