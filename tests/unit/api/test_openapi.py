"""The committed OpenAPI document is the one the code gives; its names and errors are complete."""

import json

from nas_service.api import openapi
from nas_service.app import build_api


def test_the_committed_document_is_current():
    committed = openapi.COMMITTED.read_text(encoding="utf-8")
    assert committed == openapi.text_of(build_api()), "run python -m nas_service.api.openapi"


def test_every_operation_has_a_name_a_summary_and_its_problems():
    document = json.loads(openapi.COMMITTED.read_text(encoding="utf-8"))
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            assert operation["description"], (path, method)
            assert {"401", "422", "503"} <= set(operation["responses"]), (path, method)
            assert "application/problem+json" in operation["responses"]["422"]["content"], (path, method)
    assert len(names) == len(set(names))
    assert {"searches_create", "searches_plan", "trials_front", "exports_download"} <= set(names)


def test_references_resolve():
    text = openapi.COMMITTED.read_text(encoding="utf-8")
    schemas = json.loads(text)["components"]["schemas"]
    prefix = '"$ref": "#/components/schemas/'
    for part in text.split(prefix)[1:]:
        assert part.partition('"')[0] in schemas
