"""Cursors come back as they were written, and nothing else is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_service.api.pagination import Cursors
from nas_service.api.problems import BadRequest

positions = st.lists(st.integers() | st.text() | st.none() | st.floats(allow_nan=False), max_size=3)


@given(positions, st.dictionaries(st.text(), st.text()))
def test_round_trip(position, filters):
    cursors = Cursors(b"secret")
    assert cursors.read(cursors.write(position, filters), filters) == position


def test_first_page_has_no_position():
    assert Cursors(b"s").read(None, {}) is None
    assert Cursors(b"s").read("", {}) is None


@given(st.text(min_size=1))
def test_foreign_tokens_are_refused(token):
    with pytest.raises(BadRequest):
        Cursors(b"secret").read(token, {})


def test_forged_tokens_and_other_filters_are_refused():
    cursors = Cursors(b"secret")
    token = cursors.write([5], {"state": "running"})
    with pytest.raises(BadRequest, match="filters"):
        cursors.read(token, {"state": "failed"})
    for broken in (Cursors(b"other").write([5], {"state": "running"}), token[:-2] + "AA", token + "A"):
        with pytest.raises(BadRequest):
            cursors.read(broken, {"state": "running"})
