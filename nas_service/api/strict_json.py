"""JSON bodies read strictly: bounded depth, nodes and integers; no NaN, no NUL, no lone surrogate, no repeated key."""

from __future__ import annotations

import json
import re
from typing import Any

from nas_service.api.problems import BadRequest
from nas_service.errors import InvalidInput
from search_spaces.errors import pointer_of

MAX_DEPTH = 72  # a search space may have 64 levels; the rest is the request around it
MAX_NODES = 100_000
MAX_KEYS = 5000  # of one object: each unknown key becomes a finding of the validator
MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 4000
# Possessive, and content with a string that never ends: linear in the body, whatever is in it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?', re.DOTALL)


def parse(body: bytes) -> Any:
    """The value of a JSON text.

    Raises BadRequest (400) for what is not JSON, InvalidInput (422) for what is beyond the limits.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None
    _check_depth(body)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_pairs, parse_int=_integer)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}"[:200]) from None
    _check_values(value)
    return value


def _check_depth(body: bytes) -> None:
    """Before parsing, so that no nesting reaches the recursive decoder: brackets outside of strings."""
    depth = 0
    for character in _STRING.sub(b"", body):
        if character in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _refused((), f"the body is nested deeper than {MAX_DEPTH} levels", "depth")
        elif character in b"]}":
            depth -= 1


def _check_values(value: Any) -> None:
    nodes = 0
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise _refused((), f"the body has more than {MAX_NODES} values", "size")
        if isinstance(item, dict):
            for key, child in item.items():
                _check_text(key, path)
                stack.append(((*path, key), child))
        elif isinstance(item, list):
            stack.extend(((*path, index), child) for index, child in enumerate(item))
        elif isinstance(item, str):
            _check_text(item, path)
        elif isinstance(item, int) and not -MAX_INTEGER - 1 <= item <= MAX_INTEGER:
            raise _refused(path, "an integer must fit into 64 bits", "integer_range")
        elif isinstance(item, float) and item in (float("inf"), float("-inf")):
            raise _refused(path, "the number is too large for a double", "number_range")


def _check_text(text: str, path: tuple[str | int, ...]) -> None:
    if "\0" in text:
        raise _refused(path, "the character U+0000 is not allowed", "nul_character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _refused(path, "a surrogate without its pair is not allowed", "lone_surrogate")


def _refused(path: tuple[str | int, ...], message: str, code: str) -> InvalidInput:
    return InvalidInput.at(pointer_of(*path), message, code=code)


def _refuse_constant(name: str) -> Any:
    raise BadRequest(f"{name} is not JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise _refused((), f"an object has more than {MAX_KEYS} keys", "size")
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadRequest(f"the key {repeated[:80]!r} occurs twice in one object")
    return result


def _integer(digits: str) -> int:
    # Python refuses to convert more digits than this, with an error of its own.
    if len(digits) > _MAX_DIGITS:
        raise BadRequest("an integer must fit into 64 bits")
    return int(digits)
