"""What programs make is what they would make now: the client's types, and the blocking client."""

from __future__ import annotations

from typing import get_type_hints, is_typeddict

import pytest

from nas_service import client_sync, client_types
from nas_service.api import python_types
from nas_service.app import build_api

TYPES = [found for found in vars(client_types).values() if is_typeddict(found)]


def test_the_types_are_those_of_the_document() -> None:
    committed = python_types.GENERATED.read_text(encoding="utf-8")
    assert committed == python_types.text_of(build_api().openapi()), "run python -m nas_service.api.openapi"


@pytest.mark.parametrize("found", TYPES, ids=lambda found: found.__name__)
def test_every_name_in_them_is_defined(found) -> None:
    assert get_type_hints(found)


def test_schemas_become_annotations() -> None:
    text = {"type": "string"}
    for schema, annotation in (
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/TrialOut"}}, "list[Trial]"),
        ({"type": "object", "additionalProperties": {"type": "array", "items": text}}, "dict[str, list[str]]"),
        ({"type": "object", "additionalProperties": True}, "Json"),
        ({}, "Any"),
    ):
        assert python_types._type(schema) == annotation
    with pytest.raises(KeyError):
        python_types._type({"type": "tuple"})


def test_the_blocking_client_is_made_from_the_asynchronous_one() -> None:
    made = client_sync.text_of(client_sync.SOURCE.read_text(encoding="utf-8"))
    assert client_sync.GENERATED.read_text(encoding="utf-8") == made, "run python -m nas_service.client_sync"
    assert "async" not in made.replace("client_async.py", "")
    assert "await" not in made
