"""Reads a document's text (YAML 1.2 core or JSON) or plain data into checked JSON values, bombs refused early."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

from search_spaces.errors import Problem, SpaceError, pointer_of

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_STRING = 4_000

_INT = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF|nan|NaN|NAN)\Z|[-+]?(Infinity|NaN)\Z")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None, "": None}


def read_text(text: str, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """Plain JSON values of a YAML or JSON text. Raises SpaceError: size, syntax, depth, alias, duplicate, NaN."""
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise SpaceError("", "size", f"the document is larger than {max_bytes // 1024} KiB")
    # The events are folded by hand: no recursion, no aliases, and YAML 1.2 scalars ('no', 'on' stay strings).
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.feed(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        detail = getattr(error, "problem", None) or "not YAML or JSON"
        tabs = "indent with spaces, not tabs" if "\t" in text else "check the indentation, and quote texts with : or #"
        raise SpaceError("", "syntax", f"cannot read the text{where}: {detail}", tabs) from None
    return check_data(builder.result, max_bytes)


def lines_of(text: str) -> dict[str, int]:
    """The line (from 1) of each key and list entry of a readable text, by JSON pointer."""
    lines: dict[str, int] = {}
    builder = _Builder()
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent) and event.start_mark:
            lines.setdefault(builder.pointer(), event.start_mark.line + 1)
        builder.feed(event)
    return lines


def line_of(pointer: str, lines: dict[str, int]) -> int | None:
    """The line of the innermost place on the path that the text has; None for the whole text."""
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines[pointer] if pointer else None


class _Builder:
    """Folds YAML events into lists and mappings."""

    def __init__(self) -> None:
        self.result: Any = None
        self.stack: list[list[Any]] = []  # [container, pending key or _NO_KEY, the line of each key]
        self.documents = 0
        self.line = 1

    def feed(self, event: yaml.Event) -> None:
        if event.start_mark:
            self.line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise SpaceError("", "syntax", "the text holds more than one document")
        elif isinstance(event, yaml.AliasEvent):
            raise SpaceError(self.pointer(), "alias", "aliases are not part of the language", "use let or templates")
        elif isinstance(event, yaml.ScalarEvent):
            self.put(self.scalar(event))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self.stack) >= MAX_DEPTH:
                raise SpaceError(
                    self.pointer()[:300], "depth", f"nested deeper than {MAX_DEPTH} levels", "use templates"
                )
            self.stack.append([{} if isinstance(event, yaml.MappingStartEvent) else [], _NO_KEY, {}])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.put(self.stack.pop()[0])

    def pointer(self) -> str:
        parts = [
            (key if key is not _NO_KEY else "") if isinstance(container, dict) else len(container)
            for container, key, _ in self.stack
        ]
        return pointer_of(*parts)

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise SpaceError(self.pointer(), "tag", f"tags such as {event.tag} are refused")
        awaiting_key = self.stack and isinstance(self.stack[-1][0], dict) and self.stack[-1][1] is _NO_KEY
        if awaiting_key or event.style in ("'", '"', "|", ">") or event.tag:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return int(text)
        if _NOT_FINITE.match(text):
            raise SpaceError(self.pointer(), "number", "NaN and infinity are not values")
        return float(text) if _FLOAT.match(text) else text

    def put(self, value: Any) -> None:
        if not self.stack:
            self.result = value
            return
        top = self.stack[-1]
        if isinstance(top[0], list):
            top[0].append(value)
        elif top[1] is _NO_KEY:
            if not isinstance(value, str):
                raise SpaceError(self.pointer(), "key", "keys are strings")
            top[1] = value
            if value in top[0]:
                message = f"the key '{value}' appears twice, first in line {top[2][value]}"
                advice = "remove one; or check the indentation: the names of a let stand deeper than the let"
                raise SpaceError([Problem(self.pointer(), "duplicate", message, advice, self.line)])
            top[2][value] = self.line
        else:
            top[0][top[1]] = value
            top[1] = _NO_KEY


_NO_KEY = object()


def check_data(data: Any, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """Checks plain data (depth, key types, string lengths, NaN, total size) without recursion; returns it."""
    total = 0
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(data, ())]
    while stack:
        value, path = stack.pop()
        total += 8
        if total > 8 * max_bytes:
            raise SpaceError("", "size", "the document holds too many values")
        if len(path) > MAX_DEPTH:
            raise SpaceError(pointer_of(*path[:8]), "depth", f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str) or len(key) > 200:
                    raise SpaceError(pointer_of(*path), "key", "keys are strings of at most 200 characters")
                stack.append((item, (*path, key)))
        elif isinstance(value, list | tuple):
            stack.extend((item, (*path, index)) for index, item in enumerate(value))
        elif isinstance(value, str):
            if len(value) > MAX_STRING or "\x00" in value:
                raise SpaceError(pointer_of(*path), "string", f"longer than {MAX_STRING} characters or with a NUL")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise SpaceError(pointer_of(*path), "number", "NaN and infinity are not values")
        elif isinstance(value, int) and not isinstance(value, bool):
            if abs(value) > 2**53:
                raise SpaceError(pointer_of(*path), "number", "numbers stay within 2**53")
        elif value is not None and not isinstance(value, bool):
            raise SpaceError(pointer_of(*path), "type", f"a {type(value).__name__} is not a JSON value")
    if not isinstance(data, dict):
        raise SpaceError("", "type", "a document is a mapping", "start with 'language_version: 1'")
    return data


def canonical_text(data: Any) -> str:
    """The one text of a JSON value: keys sorted, no blanks."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


__all__ = [
    "MAX_DEPTH",
    "MAX_DOCUMENT_BYTES",
    "Problem",
    "canonical_text",
    "check_data",
    "line_of",
    "lines_of",
    "read_text",
]
