"""The wire form of the language: pydantic models of a document, its JSON Schema, and parsing with good errors.

Mapping order never carries meaning (names are processed in sorted order); list order does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, StringConstraints, Tag
from pydantic import ValidationError as PydanticError
from typing_extensions import TypeAliasType

from search_spaces.errors import Problem, SpaceError, did_you_mean, pointer_of
from search_spaces.reader import canonical_text, check_data, read_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)]
Expression = Annotated[str, StringConstraints(pattern=r"^=", max_length=2001)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class OneOf(_Model):
    """A choice among values. Lists of numbers are ordered unless `ordered: false`."""

    one_of: list[Value] = Field(min_length=1, max_length=256)
    name: Label | None = None
    ordered: bool | None = None


class IntChoice(_Model):
    """A choice among the integers lo, lo + step, ..., hi (inclusive)."""

    int_: list[int | Expression] = Field(alias="int", min_length=2, max_length=2)
    step: int = Field(default=1, ge=1)
    name: Label | None = None


class FloatChoice(_Model):
    """A choice among `levels` floats from lo to hi, evenly spaced (in the logarithm with `log: true`)."""

    float_: list[float | int] = Field(alias="float", min_length=2, max_length=2)
    levels: int = Field(ge=2, le=256)
    log: bool = False
    name: Label | None = None


class ManyOfBody(_Model):
    """k picks from a list."""

    k: int = Field(ge=1, le=32)
    from_: list[Value] = Field(alias="from", min_length=1, max_length=256)
    distinct: bool = True
    sorted: bool = True


class ManyOf(_Model):
    """A list of k picks; index it in expressions: `=ops[0]`."""

    many_of: ManyOfBody
    name: Label | None = None


class Choose(_Model):
    """An edge choice: one (or k) of the earlier nodes of the enclosing graph, or of the named ones."""

    choose: Literal["earlier"] | list[Label]
    k: int = Field(default=1, ge=1, le=16)
    distinct: bool = True
    sorted: bool = True
    name: Label | None = None


def _value_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        for key in ("one_of", "many_of", "int", "float", "choose"):
            if key in value:
                return f"<{key}>"
        return "<record>"
    if isinstance(value, BaseModel):
        return "<" + next(iter(type(value).model_fields)).rstrip("_") + ">"
    if isinstance(value, list):
        return "<list>"
    return "<scalar>"


if TYPE_CHECKING:
    Value = Any  # recursive: pydantic follows it, mypy does not
else:
    Value = TypeAliasType(
        "Value",
        Annotated[
            Annotated[bool | int | float | str | None, Tag("<scalar>")]
            | Annotated[list["Value"], Tag("<list>")]
            | Annotated[OneOf, Tag("<one_of>")]
            | Annotated[IntChoice, Tag("<int>")]
            | Annotated[FloatChoice, Tag("<float>")]
            | Annotated[ManyOf, Tag("<many_of>")]
            | Annotated[Choose, Tag("<choose>")]
            | Annotated[dict[str, "Value"], Tag("<record>")],
            Discriminator(_value_tag),
        ],
    )


class _Node(_Model):
    name: Label | None = None
    let: dict[Name, Value] | None = None
    share: Label | None = None
    inputs: list[int | Label | Expression | Choose] | None = Field(default=None, min_length=1, max_length=64)
    constraints: list[Expression] | None = Field(default=None, max_length=64)


class BlockNode(_Node):
    """One block; further keys are the parameters of its kind. `weights` shares one set of weights by name."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Value] = Field(init=False)
    block: str
    weights: Label | None = None


class SequenceNode(_Node):
    """Nodes one after the other."""

    sequence: list[Node] = Field(min_length=1)


class RepeatBody(_Model):
    """`count` copies of the body, each with its own choices and weights; `index` counts from 0."""

    count: Value
    body: list[Node] = Field(min_length=1)
    index: Name = "i"


class RepeatNode(_Node):
    """A body repeated a chosen number of times."""

    repeat: RepeatBody


class ForEachBody(_Model):
    """The body once for each element; the element's entries are read as `=NAME.entry`."""

    in_: list[dict[Name, Value]] = Field(alias="in", min_length=1, max_length=256)
    as_: Name = Field(alias="as")
    body: list[Node] = Field(min_length=1)


class ForEachNode(_Node):
    """A template over a list of mappings (stages)."""

    for_each: ForEachBody


class OneOfNode(_Node):
    """A choice between sub-networks; the inner choices exist only in the chosen one."""

    one_of: list[Node] | dict[Label, Node] = Field(min_length=1, max_length=256)


class UseNode(_Node):
    """A template of the document with arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    use: str
    with_: dict[Name, Value] | None = Field(default=None, alias="with")


class LooseEnds(_Model):
    """Combines all body nodes that no chosen edge uses."""

    loose_ends: Literal["concat", "add"]


class GraphBody(_Model):
    """A dataflow scope. `inputs` names what the node's own `inputs` bring in."""

    inputs: list[Label] = Field(default_factory=lambda: ["x"], min_length=1, max_length=64)
    body: list[Node] = Field(min_length=1)
    output: Label | LooseEnds = "last"


class GraphNode(_Node):
    """Nodes wired by reference, counted outside as one node."""

    graph: GraphBody


class ResidualNode(_Node):
    """Adds its input to the body's output; `shortcut` is used where the shapes differ."""

    residual: list[Node] = Field(min_length=1)
    shortcut: Node | None = None


NODE_KINDS = ("block", "sequence", "repeat", "for_each", "one_of", "use", "graph", "residual")


def _node_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        found = [kind for kind in NODE_KINDS if kind in value]
        return f"<{found[0]}>" if len(found) == 1 else None
    if isinstance(value, BaseModel):
        return next((f"<{kind}>" for kind in NODE_KINDS if kind in type(value).model_fields), None)
    return None


if TYPE_CHECKING:
    Node = Any  # recursive: pydantic follows it, mypy does not
else:
    Node = TypeAliasType(
        "Node",
        Annotated[
            Annotated[BlockNode, Tag("<block>")]
            | Annotated[SequenceNode, Tag("<sequence>")]
            | Annotated[RepeatNode, Tag("<repeat>")]
            | Annotated[ForEachNode, Tag("<for_each>")]
            | Annotated[OneOfNode, Tag("<one_of>")]
            | Annotated[UseNode, Tag("<use>")]
            | Annotated[GraphNode, Tag("<graph>")]
            | Annotated[ResidualNode, Tag("<residual>")],
            Discriminator(_node_tag),
        ],
    )


class FromData(_Model):
    """Follows the data set; the number stands in until a data set is bound."""

    data: int = Field(ge=1, le=10_000_000)


Size = Annotated[int, Field(ge=1, le=10_000_000)]


class Task(_Model):
    """What the network is for."""

    kind: Literal["image_classification", "sequence_classification", "masked_lm", "causal_lm"]
    classes: Size | Literal["data"] | FromData | None = None


class Input(_Model):
    """What the network reads: an image, token ids, or a vector. Each entry may follow the data set: `data`."""

    channels: Size | Literal["data"] | FromData | None = None
    resolution: Size | Literal["data"] | FromData | Expression | OneOf | IntChoice | None = None
    height: Size | Literal["data"] | FromData | None = None
    width: Size | Literal["data"] | FromData | None = None
    length: Size | Literal["data"] | FromData | Expression | OneOf | IntChoice | None = None
    vocabulary: Size | Literal["data"] | FromData | None = None
    features: Size | Literal["data"] | FromData | None = None


class Template(_Model):
    """A named body with parameters."""

    parameters: list[Name] = Field(default_factory=list, max_length=64)
    body: list[Node] = Field(min_length=1)


class Document(_Model):
    """A search space in the language, version 1."""

    language_version: Literal[1]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    source: str | None = None
    description: str | None = None
    task: Task
    input: Input
    let: dict[Name, Value] | None = None
    templates: dict[Name, Template] | None = None
    network: list[Node] = Field(min_length=1)
    constraints: list[Expression] | None = Field(default=None, max_length=256)
    scale: dict[Name, dict[Name, int | float | str | bool]] | None = None

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document as plain data, exactly as written (do not change the returned mapping)."""
        return self._raw

    @property
    def canonical_json(self) -> str:
        return canonical_text(self._raw)


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
    "<block>": BlockNode,
    "<sequence>": SequenceNode,
    "<repeat>": RepeatNode,
    "<for_each>": ForEachNode,
    "<use>": UseNode,
    "<graph>": GraphNode,
    "<residual>": ResidualNode,
}


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
    for part in location[:-1]:
        if part in _MODELS_BY_TAG:
            model = _MODELS_BY_TAG[str(part)]
        elif part == "<one_of>":
            model = OneOfNode
        elif part == "repeat":
            model = RepeatBody
        elif part == "for_each":
            model = ForEachBody
        elif part == "graph":
            model = GraphBody
        elif part == "task":
            model = Task
        elif part == "input":
            model = Input
        elif part == "templates":
            model = Template
    return [field.alias or name for name, field in model.model_fields.items()]


for _model in (OneOf, ManyOfBody, ManyOf, BlockNode, SequenceNode, RepeatBody, RepeatNode, ForEachBody,
               ForEachNode, OneOfNode, UseNode, GraphBody, GraphNode, ResidualNode, Template, Document):  # fmt: skip
    _model.model_rebuild()
