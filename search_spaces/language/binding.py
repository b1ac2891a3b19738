"""Binding a document to a data set: `data` entries (classes, channels, resolution, ...) become its numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from search_spaces.errors import Problem, SpaceError
from search_spaces.language.document import Document

# What a data set consists of, by the entry of its input that no other kind has.
_KINDS = {"channels": "images", "length": "token sequences", "features": "rows of numbers"}


def _follows(value: Any) -> bool:
    return value == "data" or (isinstance(value, dict) and "data" in value)


def _kind(input: Mapping[str, Any]) -> str | None:
    return next((kind for entry, kind in _KINDS.items() if entry in input), None)


def is_bound(document: Document) -> bool:
    """Whether no entry waits for a data set."""
    raw = document.to_json()
    return not any(_follows(value) for value in [raw["task"].get("classes"), *raw["input"].values()])


def bind_document(document: Document, classes: int | None, input: Mapping[str, int]) -> dict[str, Any] | None:
    """Plain data of the bound document, None when nothing changes. Raises SpaceError on contradictions.

    An image document that fixes its resolution keeps it (images are resized); channels, classes, vocabulary and
    features must agree.
    """
    raw = copy.deepcopy(document.to_json())
    problems: list[Problem] = []
    changed = False
    wanted = raw["task"].get("classes")
    if _follows(wanted):
        if classes is not None:
            raw["task"]["classes"], changed = int(classes), True
    elif classes is not None and wanted is not None and wanted != classes:
        problems.append(
            Problem("/task/classes", "data", f"{wanted} classes, the data set has {classes}", "write: classes: data")
        )
    given = raw["input"]
    if _follows(given.get("resolution")) and {"height", "width"} <= input.keys():
        changed = True
        if input["height"] == input["width"]:
            given["resolution"] = int(input["height"])
        else:
            del given["resolution"]
            given.update(height=int(input["height"]), width=int(input["width"]))
    for name in ("channels", "height", "width", "length", "vocabulary", "features"):
        if name not in input or name not in given:
            continue
        if _follows(given[name]):
            given[name], changed = int(input[name]), True
        elif name in ("channels", "vocabulary", "features") and given[name] not in (None, input[name]):
            problems.append(
                Problem(
                    f"/input/{name}", "data", f"{given[name]}, the data set has {input[name]}", f"write: {name}: data"
                )
            )
    own, other = _kind(given), _kind(input)
    if other is not None and own != other:
        message = f"the document reads another kind of input ({own or 'unknown'}) than the data set has ({other})"
        problems.append(Problem("/input", "data", message))
    if problems:
        raise SpaceError(problems)
    return raw if changed else None
