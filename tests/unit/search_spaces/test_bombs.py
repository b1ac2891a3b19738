"""Documents made to hurt: each is refused or compiled within a second of processor time; random ones never crash."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.errors import Problem, SpaceError
from search_spaces.language.document import json_schema, parse_document
from search_spaces.language.expressions import parse_expression
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, document

LIMIT_S = 1.0
SCHEMA = jsonschema.Draft202012Validator(json_schema())


def nested(depth: int, wrap: Callable[[Any], Any], leaf: Any) -> Any:
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


def looped(count: int, **choices: Any) -> dict[str, Any]:
    return {"repeat": {"count": count, "body": [conv(let={"w": {"one_of": [8, 16, 24]}}, **choices)]}}


def in_graph(*body: Any) -> list[Any]:
    return [conv(), {"graph": {"inputs": ["x"], "body": list(body), "output": {"loose_ends": "concat"}}}]


EDGE = {"choose": "earlier", "name": "e"}
SUBSET = EDGE | {"k": "any", "merge": "add"}
BOMBS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "nested repeats": ([nested(3, lambda x: {"repeat": {"count": 1000, "body": [x]}}, conv())], {}),
    "doubling templates": (
        [{"use": "t0"}],
        {"templates": {f"t{i}": {"body": [{"use": f"t{i + 1}"}] * 2} for i in range(40)} | {"t40": {"body": [conv()]}}},
    ),
    "templates in a circle": (
        [{"use": "a"}],
        {"templates": {"a": {"body": [{"use": "b"}]}, "b": {"body": [{"use": "a"}]}}},
    ),
    "alternatives in alternatives": ([nested(12, lambda x: {"one_of": {"a": x, "b": x}}, conv())], {}),
    "conditions in conditions": (
        [nested(9, lambda x: {"repeat": {"count": {"int": [0, 2]}, "body": [x]}}, conv())],
        {},
    ),
    "doubling names": (
        [conv(out="=min(a60, 8)")],
        {"let": {"a0": {"one_of": [1, 2]}} | {f"a{i}": f"=a{i - 1} + a{i - 1}" for i in range(1, 61)}},
    ),
    "doubling lists": ([conv()], {"let": {"a0": [1]} | {f"a{i}": f"=[a{i - 1}, a{i - 1}]" for i in range(1, 60)}}),
    "doubling records": (
        [conv()],
        {"let": {"r": nested(15, lambda x: {"one_of": [{"v": x}, {"v": x}]}, 3)}},
    ),
    "towers": ([conv(out="=9**9**9**9")], {}),
    "brackets": ([conv(out="=" + "(" * 190 + "1" + ")" * 190)], {}),
    "signs": ([conv(out="=" + "-" * 1900 + "1")], {}),
    "tied choices": (
        [conv()],
        {
            "let": {f"a{i}": {"int": [1, 200]} for i in range(30)},
            "constraints": ["=" + " + ".join(f"a{i}" for i in range(30)) + " < 900"],
        },
    ),
    "permutations": ([conv()], {"let": {"m": {"many_of": {"k": 32, "from": list(range(256)), "sorted": False}}}}),
    "all pairs": ([looped(60)], {"constraints": ["=all(a in layers: all(b in layers: a.w <= b.w))"]}),
    "all triples": (
        [looped(60)],
        {"constraints": ["=all(a in layers: all(b in layers: all(c in layers: a.w <= b.w + c.w)))"]},
    ),
    "any of many": ([looped(500)], {"constraints": ["=any(a in layers: a.w == 24)"]}),
    "many wide choices": ([{"repeat": {"count": 900, "body": [conv(out={"int": [1, 256]})]}}], {}),
    "many loops of stages": (
        [
            {
                "for_each": {
                    "as": "s",
                    "in": [{}] * 256,
                    "body": [{"for_each": {"as": "t", "in": [{}] * 256, "body": [conv()]}}],
                }
            }
        ],
        {},
    ),
    "many edges": (in_graph({"repeat": {"count": 250, "body": [conv(inputs=[EDGE])]}}), {}),
    "many sets of edges": (in_graph({"repeat": {"count": 16, "body": [conv(inputs=[SUBSET])]}}), {}),
    "conditional sets of edges": (
        in_graph({"repeat": {"count": {"int": [1, 15]}, "body": [conv(inputs=[SUBSET])]}}),
        {},
    ),
    "weights per source": (
        in_graph({"repeat": {"count": 200, "body": [conv(inputs=[EDGE], weights_per="source")]}}),
        {},
    ),
    "products of shapes": (
        [
            conv(out={"int": [1, 256]}, name="a"),
            conv(out={"int": [1, 256]}, name="b"),
            conv(out="=a.channels * b.channels % 4000 + 1"),
        ],
        {},
    ),
    "huge images": ([conv()], {"input": {"channels": 3, "resolution": 10_000_000}}),
    "huge widths": ([conv(out=10_000_000)] * 8, {}),
    "long texts": ([conv()], {"name": "x" * 100_000}),
    "many scales": ([conv()], {"scale": {f"s{i}": {"N": i} for i in range(3_000)}}),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_bombs_are_answered_within_a_second(name: str) -> None:
    parse_expression("=1")  # the parser itself is built once per process
    network, changes = BOMBS[name]
    begin = time.process_time()
    problems = problems_of(document(network, **changes))
    # processor time of this process alone; with room for a busy machine, where it runs slower as well
    assert time.process_time() - begin < 3 * LIMIT_S
    assert all(problem.message and problem.rule for problem in problems)
    assert not problems or any(problem.pointer for problem in problems)


def problems_of(raw: dict[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with a document; one that compiles must also have costs."""
    try:
        space = SearchSpace.from_document(raw)
    except SpaceError as error:
        return error.problems
    assert space.cardinality >= 1
    space.costs(space.largest()[None])
    return ()


PARTS: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 10**15, 1.5, "", "x", "=x", "=in", "=1 +", "=i", "earlier", [], {}, [3, 5], ["x"]),
    *({"one_of": []}, {"one_of": [1, 2]}, {"one_of": [1, "a", None]}, {"int": [3, 1]}, {"choose": "earlier"}),
    *({"float": [0, 1], "levels": 2}, {"many_of": {"k": 2, "from": [1]}}, {"repeat": {"count": 2, "body": []}}),
    *({"block": "identity"}, [{"block": "identity"}]),
)
SEED = document(
    [
        conv(name="stem", out="=w"),
        {"repeat": {"count": {"one_of": [1, 2]}, "body": [conv(kernel={"one_of": [3, 5]})], "index": "i"}},
        {"name": "op", "one_of": {"a": {"use": "t", "with": {"c": 8}}, "b": {"block": "pool", "kernel": 3}}},
        {
            "graph": {
                "inputs": ["x"],
                "body": [conv(name="a"), conv(name="b", inputs=[{"choose": ["x", "a"], "k": 1}])],
                "output": {"loose_ends": "concat"},
            }
        },
        {"residual": [conv(out=16)], "shortcut": conv(out=16, kernel=1)},
        {"adapt": [conv(out="=w", kernel=1)], "like": "stem"},
        {"for_each": {"as": "s", "in": [{"o": 8}, {"o": 16}], "body": [conv(out="=s.o")]}},
    ],
    let={"w": {"one_of": [8, 16]}, "m": {"many_of": {"k": 2, "from": [1, 3, 5]}}},
    templates={"t": {"parameters": ["c"], "body": [conv(out="=c")]}},
    constraints=["=all(l in layers: l.kernel <= 5)", "=m[0] < 5"],
    scale={"search": {"N": 1}, "final": {"N": 2}},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths of a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [place for key, item in value.items() for place in places(item, (*path, key))]
    if isinstance(value, list):
        return found + [place for key, item in enumerate(value) for place in places(item, (*path, key))]
    return found


PLACES = places(SEED)


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """The seed with one to three places replaced, removed or doubled."""
    raw = copy.deepcopy(SEED)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES))
        holder: Any = raw
        try:
            for part in path[:-1]:
                holder = holder[part]
            what = draw(st.sampled_from(("replace", "remove", "rename", "double")))
            if what == "replace":
                holder[path[-1]] = copy.deepcopy(draw(st.sampled_from(PARTS)))
            elif what == "remove":
                del holder[path[-1]]
            elif isinstance(holder, dict):
                holder[draw(st.sampled_from(("one_of", "name", "let", "inputs", "count", "zz")))] = holder[path[-1]]
            else:
                holder.append(copy.deepcopy(holder[path[-1]]))
        except (AttributeError, IndexError, KeyError, TypeError):
            continue  # an earlier change took the place away
    return raw


def test_the_seed_of_broken_documents_is_whole() -> None:
    assert SearchSpace.from_document(copy.deepcopy(SEED)).cardinality > 100


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken())
def test_broken_documents_are_refused_with_places_or_compile(raw: dict[str, Any]) -> None:
    assert all(problem.message and problem.rule for problem in problems_of(raw))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken())
def test_the_json_schema_refuses_exactly_what_has_not_the_form_of_a_document(raw: dict[str, Any]) -> None:
    try:
        parse_document(copy.deepcopy(raw))
        formed = True
    except SpaceError:
        formed = False
    assert SCHEMA.is_valid(raw) == formed
