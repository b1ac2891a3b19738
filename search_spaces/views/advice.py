"""What is probably not meant in a document that compiles: choices, constraints and templates without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from search_spaces.compiling.wiring import genes_of_ops
from search_spaces.errors import Problem, SpaceError, pointer_of
from search_spaces.language.grammar import kinds_of_node
from search_spaces.network import Envelope
from search_spaces.shapes import ImageShape
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
    used_parts = [part for _, part in _parts([raw["network"], templates]) if isinstance(part, dict) and "use" in part]
    named = {part["use"] for part in used_parts if isinstance(part["use"], str)}
    found += [
        Problem(pointer_of("templates", name), "unused", f"the template '{name}' is never used, nor checked")
        for name in sorted(templates.keys() - named)
    ]
    found += [
        Problem(pointer, "residual", "what passes here is made small for good", "end a residual: with the layer_scale")
        for pointer in _scaled_alone(raw["network"])
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
    found += [
        Problem(
            pointer,
            "choose",
            "any set of one node is always that node: nothing is chosen here",
            "name more nodes; for one that may be left out write one_of: with zero beside identity",
        )
        for pointer in _sets_of_one(raw)
    ]
    try:
        found += [
            Problem(
                "",
                "ratio",
                f"mid of {key} is at most {most}, of {inputs} inputs: it is a number of channels or features, no ratio",
                'for a choice of ratios write let: {e: {one_of: [3, 4]}}, mid: "=in * e"',
            )
            for key, most, inputs in _ratios(space.envelopes())
        ]
    except SpaceError as error:
        found += [replace(problem, message=f"no supernet can be made: {problem.message}") for problem in error.problems]
    return found


def _sets_of_one(raw: dict[str, Any]) -> Iterator[str]:
    """Places of the sets of nodes of which there is one."""
    for path, value in _parts(raw):
        choose = value.get("choose") if isinstance(value, dict) and value.get("k") == "any" else None
        if isinstance(choose, list) and len(choose) == 1:
            yield pointer_of(*path)


def _ratios(envelopes: Mapping[str, Envelope]) -> Iterator[tuple[str, int, int]]:
    """The first block whose hidden width seems meant as a ratio: its key, the largest width and the least inputs."""
    for key, envelope in envelopes.items():
        if envelope.block in ("mbconv", "feed_forward", "map_feed_forward", "residual_mlp"):
            widths = [int(x.channels if isinstance(x, ImageShape) else x.features) for x in envelope.in_shapes[0]]
            most, least = max(int(str(mid)) for mid in envelope.params["mid"]), min(widths)
            if most <= 8 and 2 * most < least:
                yield key, most, least
                return


def _parts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Everything in a part of a document, itself first and in order, each with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _parts(item, (*path, key))


def _node_lists(raw: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], list[Any]]]:
    """The lists of a document, those of alternatives aside."""
    return ((path, value) for path, value in _parts(raw) if isinstance(value, list) and path[-1:] != ("one_of",))


def _shared_alone(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Places of weights ./NAME that one block of its list of nodes has alone, and their names."""
    for path, nodes in _node_lists(raw):
        names = [str(node.get("weights", "")) if isinstance(node, dict) else "" for node in nodes]
        for position, name in enumerate(names):
            if name.startswith("./") and names.count(name) == 1:
                yield pointer_of(*path, position, "weights"), name


def _named_twice(raw: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Nodes of one list, and choices of its blocks, that have a name which another there has: (pointer, what, name)."""
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
                    yield pointer_of(*path, position), what, name
                elif isinstance(name, str):
                    taken.add((what, name))


def _scaled_alone(network: list[Any]) -> Iterator[str]:
    """Places of the learned scales, but for those that start at 1, in no residual and no graph, which may add more."""
    for path, value in _parts(network, ("network",)):
        scales = isinstance(value, dict) and value.get("block") == "layer_scale" and value.get("start") != 1
        if scales and not {"residual", "graph"} & {*path}:
            yield pointer_of(*path)


def _hidden_indices(value: Any, path: tuple[str | int, ...], counted: bool) -> Iterator[str]:
    """Places of repeats that run once or never, below one that counts by `i`, whose bodies read `i`."""
    if isinstance(value, dict):
        body = value.get("repeat")
        if isinstance(body, dict) and "index" not in body:
            if counted and _ONCE.search(str(body["count"])) and _reads_i(body["body"]):
                yield pointer_of(*path, "repeat")
            counted = True
        for key, item in value.items():
            yield from _hidden_indices(item, (*path, key), counted)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _hidden_indices(item, (*path, position), counted)


def _reads_i(value: Any) -> bool:
    return any(isinstance(part, str) and _READS_I.search(part) for _, part in _parts(value))


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in ("one_of", "int", "float", "many_of"))
