"""Parsing a document with good errors, and the JSON Schema of the language."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError as PydanticError

from search_spaces import grammar
from search_spaces.errors import Problem, SpaceError, did_you_mean, pointer_of
from search_spaces.grammar import NODE_KINDS, Document
from search_spaces.reader import canonical_text, check_data, read_text

__all__ = ["NODE_KINDS", "Document", "json_schema", "parse_document"]


def parse_document(data: dict[str, Any] | str) -> Document:
    """A checked document from plain data, YAML text or JSON text. Raises SpaceError with every problem found."""
    raw = read_text(data) if isinstance(data, str) else check_data(data)
    try:
        text = canonical_text(raw)
    except (RecursionError, UnicodeError):
        raise SpaceError("", "syntax", "the document is not plain JSON") from None
    if len(text) > 4 * 256 * 1024:
        raise SpaceError("", "size", "the document is larger than 256 KiB")
    version = raw.get("language_version")
    if version != 1 or isinstance(version, bool):
        raise SpaceError("/language_version", "version", f"language version {version!r} is unknown", "write 1")
    try:
        document = Document.model_validate(raw)
    except PydanticError as error:
        raise SpaceError(_problems(error, raw)) from None
    document._raw = raw
    return document


def json_schema() -> dict[str, Any]:
    """JSON Schema of language version 1, for editors and the API."""
    # A choice is also a mapping of values: several alternatives may match, which `oneOf` would refuse.
    text = json.dumps(Document.model_json_schema(by_alias=True)).replace('"oneOf"', '"anyOf"')
    schema = json.loads(text)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Search space, v1"} | schema


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


def _problems(error: PydanticError, raw: Any) -> list[Problem]:
    problems: dict[tuple[str, str], Problem] = {}
    for item in error.errors(include_url=False, include_context=True)[:200]:
        parts, value = [], raw
        for part in item["loc"]:
            inside = isinstance(value, dict) and isinstance(part, str) and part in value
            if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
                value = value[part]
            elif item["type"] != "missing" or part != item["loc"][-1]:
                continue  # a tag of a union, not a place in the document
            parts.append(part)
        message, suggestion, rule = item["msg"], "", item["type"]
        if rule == "extra_forbidden":
            known = _known_keys(item["loc"], raw)
            message, suggestion = f"the key '{parts[-1]}' is unknown here", did_you_mean(str(parts[-1]), known)
            rule = "unknown_key"
        elif rule == "union_tag_not_found" or rule == "union_tag_invalid":
            rule = "node"
            keys = list(value) if isinstance(value, dict) else []
            message = "a node has exactly one of the keys " + ", ".join(NODE_KINDS)
            hints = [hint for hint in (did_you_mean(key, NODE_KINDS) for key in keys) if "mean" in hint]
            suggestion = hints[0] if hints else f"found {', '.join(keys[:8]) or type(value).__name__}"
        elif rule == "missing":
            message = f"'{parts[-1]}' is required"
        problems.setdefault((pointer_of(*parts), rule), Problem(pointer_of(*parts), rule, message, suggestion))
    return list(problems.values())


def _known_keys(location: tuple[int | str, ...], raw: Any) -> list[str]:
    """The keys allowed beside an unknown one: found by walking the models along the location."""
    model: Any = Document
    inside_value = False
    for part in location[:-1]:
        if part == "<one_of>":
            model = grammar.OneOf if inside_value else grammar.OneOfNode
        else:
            model = _MODELS_BY_TAG.get(str(part), model)
        inside_value = part == "let" or (inside_value and not (isinstance(part, str) and part in _NODE_TAGS))
    return [field.alias or name for name, field in model.model_fields.items()]
