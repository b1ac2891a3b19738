"""Builds a document in Python: small functions that return the plain data of the language, and a `Draft` of the whole.

Nothing here adds to the language; a draft is checked exactly as the same document in a file is.

    from search_spaces.build import Draft, block, one_of, repeat

    space = (
        Draft("small", "image_classification", classes="data")
        .image(channels="data", resolution={"data": 32})
        .let(kernel=one_of(3, 5))
        .add(block("conv_bn_act", name="stem", out=16, kernel="=kernel"))
        .add(repeat(one_of(1, 2, name="depth"), block("basic_block", mid=16, out=16)))
        .add(block("image_head", name="head", out="=classes"))
        .space()
    )
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.language.document import Document, parse_document
from search_spaces.space import SearchSpace

Json = dict[str, Any]


def one_of(*options: Any, name: str | None = None, ordered: bool | None = None) -> Json:
    """A choice among values."""
    return _given(one_of=list(options), name=name, ordered=ordered)


def one_of_list(values: str, name: str | None = None, ordered: bool | None = None) -> Json:
    """A choice among the values of a list that an expression names: `one_of_list("=stage.widths")`."""
    return _given(one_of=values, name=name, ordered=ordered)


def ints(low: int | str, high: int | str, step: int | None = None, name: str | None = None) -> Json:
    """A choice among whole numbers from low to high, both included."""
    return _given(int=[low, high], step=step, name=name)


def floats(low: float, high: float, levels: int, log: bool | None = None, name: str | None = None) -> Json:
    """A choice among `levels` numbers from low to high."""
    return _given(float=[low, high], levels=levels, log=log, name=name)


def many_of(
    k: int, *options: Any, distinct: bool | None = None, in_order: bool | None = None, name: str | None = None
) -> Json:
    """k picks from the options; `in_order` picks are sorted (the default of the language)."""
    body = _given(k=k, distinct=distinct, sorted=in_order)
    return _given(many_of=body | {"from": list(options)}, name=name)


def choose(
    *nodes: str,
    k: int | str | None = None,
    merge: str | None = None,
    distinct: bool | None = None,
    in_order: bool | None = None,
    name: str | None = None,
) -> Json:
    """An edge choice among the named earlier nodes of a graph, or all of them without names."""
    chosen = list(nodes) or "earlier"
    return _given(choose=chosen, k=k, merge=merge, distinct=distinct, sorted=in_order, name=name)


def block(kind: str, **entries: Any) -> Json:
    """A block; entries are its parameters and what any node may have (name, let, inputs, ...)."""
    return {"block": kind} | entries


def sequence(*nodes: Json, **entries: Any) -> Json:
    """Nodes one after the other."""
    return {"sequence": list(nodes)} | entries


def repeat(count: Any, *nodes: Json, index: str | None = None, **entries: Any) -> Json:
    """The nodes `count` times, each time with choices and weights of their own."""
    return {"repeat": _given(count=count, body=list(nodes), index=index)} | entries


def for_each(variable: str, elements: Sequence[Mapping[str, Any]], *nodes: Json, **entries: Any) -> Json:
    """The nodes once for each element, whose entries are read as `=variable.entry`."""
    return {"for_each": {"as": variable, "in": [dict(element) for element in elements], "body": list(nodes)}} | entries


def alternatives(branches: Mapping[str, Json], **entries: Any) -> Json:
    """A choice between nodes, by label."""
    return {"one_of": dict(branches)} | entries


def use(template: str, arguments: Mapping[str, Any] | None = None, **entries: Any) -> Json:
    """A template of the document; `arguments` are its parameters."""
    return {"use": template} | ({"with": dict(arguments)} if arguments else {}) | entries


def graph(called: Sequence[str], *nodes: Json, output: Any = None, **entries: Any) -> Json:
    """Nodes wired by name; `called` names the incoming values (which `inputs` among the entries says)."""
    return {"graph": _given(inputs=list(called), body=list(nodes), output=output)} | entries


def residual(*nodes: Json, shortcut: Json | str | None = None, **entries: Any) -> Json:
    """Adds its input to what the nodes make of it."""
    return _given(residual=list(nodes), shortcut=shortcut) | entries


def adapt(like: str | int, *nodes: Json, **entries: Any) -> Json:
    """Passes its input through the nodes where it does not have the shape of `like`."""
    return {"adapt": list(nodes), "like": like} | entries


class Draft:
    """A document in the making. Every method returns the draft; nothing is checked before `document` or `space`."""

    def __init__(self, name: str, task: str, classes: Any = None, source: str | None = None) -> None:
        self._raw: Json = {"language_version": 1, "name": name} | _given(source=source)
        self._raw |= {"task": _given(kind=task, classes=classes), "input": {}, "network": []}

    def image(self, channels: Any, **sizes: Any) -> Draft:
        """Reads images: `resolution`, or `height` and `width`."""
        return self._entries("input", {"channels": channels} | sizes)

    def tokens(self, length: Any, vocabulary: Any) -> Draft:
        """Reads token ids."""
        return self._entries("input", {"length": length, "vocabulary": vocabulary})

    def vector(self, features: Any) -> Draft:
        """Reads rows of numbers."""
        return self._entries("input", {"features": features})

    def let(self, **values: Any) -> Draft:
        """Names values for the whole document."""
        return self._entries("let", values)

    def template(self, name: str, *nodes: Json, parameters: Sequence[str] = ()) -> Draft:
        """Adds a template."""
        return self._entries("templates", {name: {"parameters": list(parameters), "body": list(nodes)}})

    def scale(self, name: str, **constants: Any) -> Draft:
        """Adds a scale with its constants."""
        return self._entries("scale", {name: constants})

    def add(self, *nodes: Json) -> Draft:
        """Adds nodes to the network."""
        self._raw["network"].extend(nodes)
        return self

    def require(self, *conditions: str) -> Draft:
        """Adds constraints."""
        self._raw.setdefault("constraints", []).extend(conditions)
        return self

    def document(self) -> Document:
        """The checked document, a copy of the draft. Raises SpaceError with every problem of its form."""
        return parse_document(copy.deepcopy(self._raw))

    def space(self) -> SearchSpace:
        """The compiled space. Raises SpaceError with every problem found."""
        return SearchSpace.from_document(self.document())

    def _entries(self, part: str, entries: Mapping[str, Any]) -> Draft:
        self._raw.setdefault(part, {}).update(entries)
        return self


def _given(**entries: Any) -> Json:
    return {name: value for name, value in entries.items() if value is not None}
