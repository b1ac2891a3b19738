"""Strict JSON: every limit answers with the right error, and valid JSON passes unchanged."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_service.api import strict_json
from nas_service.api.problems import BadRequest
from nas_service.errors import InvalidInput

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=30)


@given(values, st.booleans())
def test_plain_json_passes(value, ascii_only):
    assert strict_json.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [b"{", b"NaN", b'{"a": Infinity}', b"[-Infinity]", b"\xff", b'{"a": 1, "a": 2}', b"", b"[1,]", b"9" * 5000],
)
def test_what_is_not_json_is_a_bad_request(body):
    with pytest.raises(BadRequest):
        strict_json.parse(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a": [1, "x\\u0000"]}', "/a/1"),
        (b'{"a/b": {"c": 9223372036854775808}}', "/a~1b/c"),
        (b"[-9223372036854775809]", "/0"),
        (b'{"x": 1e400}', "/x"),
        (b'{"x": "\\ud800"}', "/x"),
        (b'{"\\u0000": 1}', ""),
    ],
)
def test_values_beyond_the_limits_name_their_place(body, pointer):
    with pytest.raises(InvalidInput) as caught:
        strict_json.parse(body)
    assert caught.value.problems[0].pointer == pointer


def test_depth_is_judged_outside_of_strings_only():
    assert strict_json.parse(b'["' + b"[" * 100 + b'\\""]') == ["[" * 100 + '"']
    assert strict_json.parse(b"[" * 72 + b"]" * 72)
    with pytest.raises(InvalidInput):
        strict_json.parse(b"[" * 73 + b"]" * 73)


def test_bombs_are_refused_quickly():
    keys = b"{" + b",".join(b'"%d": 0' % n for n in range(5001)) + b"}"
    assert len(strict_json.parse(keys.replace(b'"0": 0,', b""))) == 5000
    start = time.process_time()
    for body in (b"[" * 1_000_000, b"[" + b"1," * 400_000 + b"1]", b'"' * 999_999, b'"\\' * 400_000, keys):
        with pytest.raises((BadRequest, InvalidInput)):
            strict_json.parse(body)
    assert time.process_time() - start < 5
