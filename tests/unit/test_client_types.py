"""The dictionaries that the Python client promises are those of the OpenAPI document."""

from __future__ import annotations

import json
from typing import get_args, get_type_hints, is_typeddict

import pytest

from nas_service import client_types
from nas_service.api.openapi import COMMITTED

TYPES = [found for found in vars(client_types).values() if is_typeddict(found)]


@pytest.mark.parametrize("found", TYPES, ids=lambda found: found.__name__)
def test_keys_and_nulls_are_those_of_the_document(found) -> None:
    schemas = json.loads(COMMITTED.read_text(encoding="utf-8"))["components"]["schemas"]
    name = found.__name__
    properties = schemas[f"{name}Out" if f"{name}Out" in schemas else name]["properties"]
    hints = get_type_hints(found)
    assert set(hints) == set(properties), "nas_service/client_types.py is not up to date"
    for key, hint in hints.items():
        nullable = any(option.get("type") == "null" for option in properties[key].get("anyOf", ()))
        assert nullable == (type(None) in get_args(hint)), key


def test_there_are_types_for_everything_that_has_a_page() -> None:
    assert len(TYPES) >= 18
