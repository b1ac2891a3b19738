"""From what pydantic finds wrong with a document's form to problems that say what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError as PydanticError

from search_spaces.blocks.registry import BLOCKS
from search_spaces.errors import Problem, did_you_mean, meant, pointer_of
from search_spaces.language import grammar
from search_spaces.language.grammar import NODE_KINDS, kinds_of_node

_MODELS_BY_TAG = {
    "<block>": grammar.BlockNode,
    "<sequence>": grammar.SequenceNode,
    "<repeat>": grammar.RepeatNode,
    "<for_each>": grammar.ForEachNode,
    "<use>": grammar.UseNode,
    "<graph>": grammar.GraphNode,
    "<residual>": grammar.ResidualNode,
    "<adapt>": grammar.AdaptNode,
    "<choose>": grammar.Choose,
    "<int>": grammar.IntChoice,
    "<float>": grammar.FloatChoice,
    "<many_of>": grammar.ManyOf,
    "many_of": grammar.ManyOfBody,
    "repeat": grammar.RepeatBody,
    "for_each": grammar.ForEachBody,
    "graph": grammar.GraphBody,
    "task": grammar.Task,
    "input": grammar.Input,
    "templates": grammar.Template,
    "Choose": grammar.Choose,
}
_NODE_TAGS = {f"<{kind}>" for kind in NODE_KINDS} - {"<one_of>"}
_SHAPES = {
    "language_version": "language_version: 1",
    "name": "name: my-space",
    "body": "a list of nodes: begin each with '-'",
    "network": "a list of nodes, each begun with '-': - {block: KIND, ...its parameters}; kinds: nas space blocks",
    "sequence": "a list of nodes: begin each with '-'",
    "residual": "a list of nodes: begin each with '-'",
    "one_of": "the options: one_of: [3, 5], or nodes, one_of: {a: {block: ...}, b: ...}",
    "inputs": "a list, for example inputs: [-1] or inputs: [stem]",
    "task": "a mapping: {kind: image_classification, classes: data}",
    "input": "a mapping: {channels: data, resolution: data}",
    "repeat": "a mapping: repeat: {count: 3, body: [...]}",
    "for_each": "a mapping: for_each: {as: stage, in: [{...}], body: [...]}",
    "graph": "a mapping: graph: {inputs: [x], body: [...]}",
    "let": "a mapping from names to values",
    "with": "a mapping from the template's parameters to values",
    "templates": "a mapping from names to {parameters: [...], body: [...]}",
    "constraints": 'a list of texts: ["=a <= b"]',
}


def problems_of(error: PydanticError, raw: Any) -> list[Problem]:
    """Problems with the places as JSON pointers into the document, each place and rule once."""
    problems: dict[tuple[str, str], Problem] = {}
    passed_over = []
    for item in error.errors(include_url=False, include_context=True)[:200]:
        parts, value = _place(item["loc"], item["type"], raw)
        if item["type"] in ("list_type", "dict_type") and parts[-1:] == ["one_of"] and isinstance(value, dict | list):
            # Both forms of a choice between nodes were tried; what is wrong inside is told by the other, if anything.
            passed_over.append(_problem(item, parts, value))
            continue
        problem = _problem(item, parts, value)
        problems.setdefault((problem.pointer, problem.rule), problem)
    return _lists_once(problems.values()) or passed_over[:1]


def _lists_once(problems: Iterable[Problem]) -> list[Problem]:
    """The problems; of several that would each list the same known names only the first does."""
    listed: set[str] = set()
    result = []
    for problem in problems:
        again = problem.suggestion.startswith("known: ") and problem.suggestion in listed
        listed.add(problem.suggestion)
        result.append(replace(problem, suggestion="") if again else problem)
    return result


def _place(location: tuple[int | str, ...], rule: str, raw: Any) -> tuple[list[int | str], Any]:
    """The steps of a location that are places in the document (others are tags of unions), and what is there."""
    parts: list[int | str] = []
    value = raw
    for part in location:
        inside = isinstance(value, dict) and isinstance(part, str) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
        elif rule != "missing" or part != location[-1]:
            continue
        parts.append(part)
    return parts, value


def _problem(item: Any, parts: list[int | str], value: Any) -> Problem:
    rule, message, suggestion = item["type"], item["msg"], ""
    last = str(parts[-1]) if parts else ""
    if parts[:1] == ["input"] and ({"<size>", "<data>"} & set(item["loc"]) or rule == "union_tag_invalid"):
        # Several forms were tried, each of which says what is wrong in its own way: told once.
        parts, rule, message = parts[:2], "value", "not a size that an input may have"
        suggestion = "write a whole number from 1, data or {data: 32}"
        if parts[1] in ("resolution", "length"):
            suggestion += "; for a choice {one_of: [96, 128]}"
    elif rule == "extra_forbidden":
        rule, message = "unknown_key", f"the key '{last}' is unknown here"
        suggestion = _unknown_key(last, item["loc"], value)
    elif rule in ("union_tag_not_found", "union_tag_invalid"):
        rule, message = "node", "a node has exactly one of the keys " + ", ".join(NODE_KINDS)
        suggestion = _node_advice(value)
    elif rule == "missing":
        message = f"'{last}' is required"
        suggestion = f"write {_SHAPES[last]}" if last in _SHAPES else ""
    elif rule in ("model_type", "model_attributes_type", "dict_type", "list_type"):
        rule, message = (
            "form",
            f"{_called(value)} stands where {'a list' if rule == 'list_type' else 'a mapping'} belongs",
        )
        suggestion = f"write {_SHAPES[last]}" if last in _SHAPES else ""
    elif parts[-2:-1] == ["inputs"] and not isinstance(value, dict) and parts[-3:-2] != ["graph"]:
        # An entry may be several things, each of which says in its own way what it is not: told once.
        rule, message = "form", f"{_called(value)} stands where an input belongs"
        suggestion = "an input is -1 (the node before), a node's name or {choose: [a, b]}"
    elif parts[-2:] == ["graph", "output"]:
        rule, message = "form", f"{_called(value)} stands where the output of a graph belongs"
        suggestion = "write the name of one node, or {loose_ends: concat}; nodes of one graph read each other by name"
    elif rule == "string_type" and parts[-3:-1] == ["graph", "inputs"]:
        rule, message = "form", f"{_called(value)} stands where a name belongs"
        suggestion = "a graph names what comes in: {inputs: [{choose: ...}], graph: {inputs: [x], body: [...]}}"
    elif rule == "too_long" and last in ("int", "float"):
        rule, message = "form", f"'{last}' has two numbers, the lowest and the highest"
        suggestion = "{int: [8, 64], step: 8}" if last == "int" else "{float: [0.5, 2.0], levels: 4}"
        suggestion = f"for example {suggestion}; for a list of options write one_of"
    elif rule == "too_short":
        rule, message = "form", f"'{last}' is empty"
        suggestion = "a choice needs an option, a list of nodes a node"
    elif rule == "literal_error":
        allowed = str(item["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        rule, message, suggestion = (
            "value",
            f"{value!r} is not allowed here",
            did_you_mean(str(value), allowed.split(", ")),
        )
    elif rule == "string_pattern_mismatch" and item["ctx"]["pattern"] == "^=":
        rule, message, suggestion = "expression", "an expression begins with =", f'write "={str(value)[:60]}"'
    elif rule == "string_pattern_mismatch":
        rule, message = "name", f"{str(value)[:60]!r} is no name"
        suggestion = "names are letters, digits and _, and begin with a letter or _"
    return Problem(pointer_of(*parts), rule, message, suggestion)


def _unknown_key(key: str, location: tuple[int | str, ...], value: Any) -> str:
    if "<use>" in location[-2:]:
        return f"a template's parameters stand under with: {{{key}: ...}}"
    if "<repeat>" in location[-2:] and key in ("count", "body", "index"):
        return "count, body and index stand under repeat: {count: 3, body: [...]}"
    around = location[-2] if len(location) > 1 else None
    if around in ("repeat", "for_each", "graph") and key in ("name", "let", "share", "constraints"):
        return f"{key} stands beside {around}: {{{key}: ..., {around}: {{...}}}}"
    return did_you_mean(key, _known_keys(location))


def _node_advice(value: Any) -> str:
    if value is None or value == {}:
        return "for a node that does nothing write {block: identity}"
    if isinstance(value, str) and value in BLOCKS:
        return f"a block is written {{block: {value}}}, with its parameters beside that key"
    if isinstance(value, str):
        known = meant(value, sorted(BLOCKS)) or ["KIND"]
        return f"a block is written {{block: {known[0]}, ...its parameters}}; kinds: nas space blocks"
    if not isinstance(value, dict):
        return f"found {_called(value)}; a choice of values belongs to a parameter or a let: {{one_of: [3, 5]}}"
    found = kinds_of_node(value)
    if len(found) > 1:
        return f"found {' and '.join(found)}: put one inside the other"
    hints = [hint for hint in (did_you_mean(key, NODE_KINDS) for key in value) if "did you mean" in hint]
    return hints[0] if hints else f"found {', '.join(list(value)[:8])}"


def _called(value: Any) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed beside an unknown one: found by walking the models along the location."""
    return [field.alias or name for name, field in _model_at(location).model_fields.items()]


def _model_at(location: tuple[int | str, ...]) -> Any:
    model: Any = grammar.Document
    inside_value = False
    for part in location[:-1]:
        if part == "<one_of>":
            model = grammar.OneOf if inside_value else grammar.OneOfNode
        else:
            model = _MODELS_BY_TAG.get(str(part), model)
        inside_value = part == "let" or (inside_value and not (isinstance(part, str) and part in _NODE_TAGS))
    return model
