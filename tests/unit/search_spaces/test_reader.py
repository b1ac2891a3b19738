"""Reading untrusted documents: YAML 1.2 values, refusals, and bombs that end within a second."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SpaceError
from search_spaces.language.document import json_schema, parse_document
from search_spaces.language.reader import check_data, read_text
from search_spaces.library_index import LIBRARY, library_text
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, document
from tests.unit.search_spaces.test_documents import FOLDER


def test_yaml_scalars_follow_version_1_2() -> None:
    read = read_text("a: no\nb: 1e-3\nc: 012\nd: 2020-01-01\ne: 'true'\nf: true\ng: null\nh: 1:30\ni: -4\nj: .5")
    assert read == {
        "a": "no", "b": 1e-3, "c": 12, "d": "2020-01-01", "e": "true", "f": True, "g": None, "h": "1:30", "i": -4,
        "j": 0.5,
    }  # fmt: skip


def test_json_text_is_read_too() -> None:
    raw = document([conv()])
    assert parse_document(json.dumps(raw)).to_json() == raw


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: &x 1\nb: *x", "alias"),
        ("a: 1\na: 2", "duplicate"),
        ("a: .nan", "number"),
        ("a: -.inf", "number"),
        ("a: NaN", "number"),
        ("a: !!python/object:os.system 1", "tag"),
        ("? [1]\n: 2", "key"),
        ("a: 1\n---\nb: 2", "syntax"),
        ("a: [1", "syntax"),
        ("[1, 2]", "type"),
        ("", "type"),
        ("[" * 100_000, "depth"),
        ("{a: " * 50_000, "depth"),
        ("x: '" + "a" * 300_000 + "'", "size"),
        ("x: '" + "a" * 10_000 + "'", "string"),
    ],
)
def test_refused_texts(text: str, rule: str) -> None:
    begin = time.process_time()
    with pytest.raises(SpaceError) as caught:
        read_text(text)
    assert caught.value.rule == rule
    # Each takes a fifth of a second alone; here the garbage of the tests before may be collected meanwhile.
    assert time.process_time() - begin < 3.0


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data", [{"a": float("nan")}, {"a": 10**30}, {1: 2}, {"a": object()}, {"a": "\x00"}, {"a": deep(100_000)}, []]
)
def test_refused_data(data: Any) -> None:
    with pytest.raises(SpaceError):
        check_data(data)


def nested_repeats(levels: int) -> dict[str, Any]:
    node: dict[str, Any] = conv()
    for _ in range(levels):
        node = {"repeat": {"count": 100, "body": [node]}}
    return document([node])


def doubling_templates() -> dict[str, Any]:
    templates = {f"t{i}": {"body": [{"use": f"t{i + 1}"}] * 10} for i in range(12)}
    return document([{"use": "t0"}], templates=templates | {"t12": {"body": [conv()]}})


BOMBS = {
    "nested repeats": nested_repeats(8),
    "templates of templates": doubling_templates(),
    "a template cycle": document(
        [{"use": "a"}], templates={"a": {"body": [{"use": "b"}]}, "b": {"body": [{"use": "a"}]}}
    ),
    "many choices": document(
        [{"repeat": {"count": 1000, "body": [conv(out={"int": [1, 256]}, kernel={"one_of": [1, 3]})]}}]
    ),
    "a constraint over everything": document(
        [{"repeat": {"count": 60, "body": [conv(kernel={"one_of": [1, 3, 5]})]}}],
        constraints=["=sum(l in layers: l.kernel * 3.1 ** l.index) <= 90"],
    ),
    "tangled constraints": document(
        [conv()],
        let={f"x{i}": {"int": [0, 60]} for i in range(40)},
        constraints=[f"=x{i} + x{j} < 100" for i in range(20) for j in range(i)],
    ),
    "a huge count": document([{"repeat": {"count": 2**50, "body": [conv()]}}]),
    "a huge range": document([conv(out={"int": [1, 2**50]})]),
    "a huge power": document([conv(out="=9 ** 9 ** 9")]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly(name: str) -> None:
    begin = time.process_time()
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(BOMBS[name])
    # Each takes a fifth of a second alone; here the garbage of the tests before may be collected meanwhile.
    assert time.process_time() - begin < 3.0
    assert caught.value.problems[0].pointer


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_json_schema_accepts_the_documents(path: Any) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(parse_document(path.read_text()).to_json())


SCHEMA = jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", LIBRARY)
def test_the_json_schema_accepts_the_families(name: str) -> None:
    SCHEMA.validate(parse_document(library_text(name)).to_json())


@pytest.mark.parametrize(
    "changes",
    [
        {"netwrk": []},
        {"language_version": 2},
        {"network": {"block": "identity"}},
        {"network": []},
        {"network": [{"blok": "identity"}]},
        {"network": [{"repeat": 3, "body": []}]},
        {"network": [{"repeat": {"count": 3}}]},
        {"network": [{"sequence": [{"block": "identity"}], "count": 3}]},
        {"network": [{"block": "identity", "inputs": "stem"}]},
        {"network": [{"graph": {"body": [{"block": "identity"}], "output": {"loose_end": "add"}}}]},
        {"network": [{"block": "identity", "weights_per": "edge"}]},
        {"task": "image_classification"},
        {"task": {"kind": "classification"}},
        {"input": {"shape": [3, 8, 8]}},
        {"constraints": ["a < 3"]},
        {"templates": {"t": [{"block": "identity"}]}},
        {"let": [1]},
        {"scale": {"search": [1]}},
    ],
    ids=str,
)
def test_the_json_schema_refuses_typical_mistakes(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(document([conv()]) | changes)


JUNK: list[Any] = [
    None, True, -1, 1.5, 2**40, "", "=", "=in", "=in.height", "=[1, 2]", "=layers", "=input", "='a'", "=2 ** 40 * in",
    "data", [], [1, 2], {}, {"one_of": ["a", None]}, {"choose": "earlier"}, {"int": [1, 3]}, {"block": "identity"},
    {"many_of": {"k": 2, "from": [1, 2, 3]}}, {"one_of": [[1, 2], [3, 4]]}, "=all(l in layers: l.kernel > 1)",
]  # fmt: skip
PARENTS = [
    parse_document((FOLDER / f"{name}.yaml").read_text()).to_json()
    for name in ("ofa-mobilenetv3", "flexibert", "darts-cell", "matformer-gpt")
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def test_a_key_written_twice_is_told_with_both_lines() -> None:
    """Names of a `let` that stand beside it instead of under it."""
    with pytest.raises(SpaceError) as caught:
        read_text("network:\n  - let:\n    kernel: 3\n    block: conv_bn_act\n    kernel: 5\n")
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.line) == ("/network/0/kernel", 5)
    assert "first in line 3" in problem.message
    assert "deeper than the let" in problem.suggestion


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(PARENTS), st.data())
def test_broken_documents_raise_space_errors_and_nothing_else(parent: dict[str, Any], data: st.DataObject) -> None:
    raw = copy.deepcopy(parent)
    *path, last = data.draw(st.sampled_from(places(raw)[1:]))
    target = raw
    for key in path:
        target = target[key]
    target[last] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    try:
        found = SearchSpace.from_document(raw)
    except SpaceError:
        return
    rows = found.sample(4, np.random.default_rng(0))
    assert found.costs(rows)["macs"][0] == found.resolve(rows[0]).cost().macs
