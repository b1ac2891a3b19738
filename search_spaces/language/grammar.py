"""The wire form of the language: pydantic models of a document.

Mapping order never carries meaning (names are processed in sorted order); list order does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, StringConstraints, Tag
from typing_extensions import TypeAliasType

from search_spaces.blocks.registry import BLOCKS
from search_spaces.language.reader import canonical_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)]
Weights = Annotated[str, StringConstraints(pattern=r"^(\./)?[A-Za-z_][A-Za-z0-9_-]*$", max_length=66)]
Expression = Annotated[str, StringConstraints(pattern=r"^=", max_length=2001)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class OneOf(_Model):
    """A choice among values, or among those of a list that is named. Increasing numbers are ordered.

    `ordered: false` says that they are not.
    """

    one_of: Options
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
    """An edge choice: one of the earlier nodes of the enclosing graph, or of the named ones.

    `k` picks as many, `k: any` every possible non-empty set of them; `merge` joins the picked nodes into one input.
    """

    choose: Literal["earlier"] | list[Label]
    k: Annotated[int, Field(ge=1, le=16)] | Literal["any"] = 1
    merge: Literal["add", "concat", "mean"] | None = None
    distinct: bool = True
    sorted: bool = True
    name: Label | None = None


_CHOICES = ("one_of", "many_of", "int", "float", "choose")


def _value_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        for key in _CHOICES:
            if key in value:
                return f"<{key}>"
        return "<record>"
    if isinstance(value, BaseModel):
        return "<" + next(iter(type(value).model_fields)).rstrip("_") + ">"
    if isinstance(value, list):
        return "<list>"
    return "<scalar>"


_NO_CHOICE = Field(json_schema_extra={"not": {"enum": list(_CHOICES)}})


def _options_tag(value: Any) -> str:
    return "<text>" if isinstance(value, str) and value.startswith("=") else "<list>"


if TYPE_CHECKING:
    Value = Any  # recursive: pydantic follows it, mypy does not
    Options = Any
else:
    Options = TypeAliasType(
        "Options",
        Annotated[
            Annotated[list["Value"], Field(min_length=1, max_length=256), Tag("<list>")]
            | Annotated[Expression, Tag("<text>")],
            Discriminator(_options_tag),
        ],
    )
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
            | Annotated[dict[Annotated[str, _NO_CHOICE], "Value"], Tag("<record>")],
            Discriminator(_value_tag),
        ],
    )


NODE_KINDS = ("block", "sequence", "repeat", "for_each", "one_of", "use", "graph", "residual", "adapt")


class _Node(_Model):
    name: Label | None = None
    let: dict[Name, Value] | None = None
    share: Label | None = None
    inputs: list[int | Label | Expression | Choose] | None = Field(default=None, min_length=1, max_length=64)
    weights_per: Literal["source"] | None = None
    source: Literal["checkpoint"] | None = None
    constraints: list[Expression] | None = Field(default=None, max_length=64)


def _another_kind(kind: str) -> dict[str, Any]:
    """JSON Schema of a block node that has another kind's key too, where that is no parameter of the block."""
    owners = [name for name, block in BLOCKS.items() if kind in {param.name for param in block.params}]
    named = {"required": [kind]}
    return named | {"properties": {"block": {"not": {"enum": owners}}}} if owners else named


class BlockNode(_Node):
    """One block; further keys are the parameters of its kind. `weights` shares one set of weights by name.

    A name that begins with ./ belongs to the list of nodes that the block stands in, another to the document.

    `tied` names the token embedding whose weights a language head uses.
    """

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        json_schema_extra={"not": {"anyOf": [_another_kind(kind) for kind in NODE_KINDS[1:]]}},
    )
    __pydantic_extra__: dict[str, Value] = Field(init=False)
    block: str
    weights: Weights | None = None
    tied: Label | None = None


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

    one_of: (
        Annotated[list[Node], Field(min_length=1, max_length=256)]
        | Annotated[dict[Label, Node], Field(min_length=1, max_length=256)]
    )


class UseNode(_Node):
    """A template of the document with arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    use: str
    with_: dict[Name, Value] | None = Field(default=None, alias="with")


class LooseEnds(_Model):
    """Combines all body nodes that no chosen edge uses."""

    loose_ends: Literal["concat", "add", "mean"]


class GraphBody(_Model):
    """A dataflow scope. `inputs` names what the node's own `inputs` bring in."""

    inputs: list[Label] = Field(default_factory=lambda: ["x"], min_length=1, max_length=64)
    body: list[Node] = Field(min_length=1)
    output: Label | LooseEnds = "last"


class GraphNode(_Node):
    """Nodes wired by reference, counted outside as one node."""

    graph: GraphBody


def _shortcut_tag(value: Any) -> str:
    return "<text>" if isinstance(value, str) else "<node>"


class ResidualNode(_Node):
    """Adds its input to the body's output; where the shapes differ through `shortcut`, or (`none`) not at all."""

    residual: list[Node] = Field(min_length=1)
    shortcut: Annotated[
        Annotated[Node | None, Tag("<node>")] | Annotated[Literal["none"], Tag("<text>")],
        Discriminator(_shortcut_tag),
    ] = None


class AdaptNode(_Node):
    """Passes its input on where that has the shape of the node `like`, else through the nodes given."""

    adapt: list[Node] = Field(min_length=1)
    like: int | Label


def kinds_of_node(value: dict[str, Any]) -> list[str]:
    """The node kinds that a mapping's keys name: one in a node. A block's parameter is none (`residual` of mbconv)."""
    block = value.get("block")
    known = BLOCKS.get(block) if isinstance(block, str) else None
    parameters = {param.name for param in known.params} if known else set()
    return [kind for kind in NODE_KINDS if kind in value and kind not in parameters]


def _node_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        found = kinds_of_node(value)
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
            | Annotated[ResidualNode, Tag("<residual>")]
            | Annotated[AdaptNode, Tag("<adapt>")],
            Discriminator(_node_tag),
        ],
    )


class FromData(_Model):
    """Follows the data set; the number stands in until a data set is bound."""

    data: int = Field(ge=1, le=10_000_000)


Size = Annotated[int, Field(ge=1, le=10_000_000)]


def _size_tag(value: Any) -> str:
    if isinstance(value, dict):
        return next((f"<{key}>" for key in ("one_of", "int") if key in value), "<data>")
    return "<size>"


Fixed = Annotated[Size | Literal["data"] | None, Tag("<size>")] | Annotated[FromData, Tag("<data>")]
FixedSize = Annotated[Fixed, Discriminator(_size_tag)]
ChosenSize = Annotated[
    Annotated[Size | Literal["data"] | Expression | None, Tag("<size>")]
    | Annotated[FromData, Tag("<data>")]
    | Annotated[OneOf, Tag("<one_of>")]
    | Annotated[IntChoice, Tag("<int>")],
    Discriminator(_size_tag),
]


class Task(_Model):
    """What the network is for."""

    kind: Literal["image_classification", "sequence_classification", "vector_classification", "masked_lm", "causal_lm"]
    classes: Size | Literal["data"] | FromData | None = None


class Input(_Model):
    """What the network reads: an image, token ids, or a vector. Each entry may follow the data set: `data`."""

    channels: FixedSize = None
    resolution: ChosenSize = None
    height: FixedSize = None
    width: FixedSize = None
    length: ChosenSize = None
    vocabulary: FixedSize = None
    features: FixedSize = None


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


for _model in (OneOf, ManyOfBody, ManyOf, BlockNode, SequenceNode, RepeatBody, RepeatNode, ForEachBody,
               ForEachNode, OneOfNode, UseNode, GraphBody, GraphNode, ResidualNode, AdaptNode, Template,
               Document):  # fmt: skip
    _model.model_rebuild()
