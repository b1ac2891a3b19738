"""The committed OpenAPI document is the one the code gives; its names and errors are complete."""

import json

from nas_service.api import openapi
from nas_service.api.links import LINKS
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


def test_links_lead_to_operations_that_take_what_they_give():
    document = json.loads(openapi.COMMITTED.read_text(encoding="utf-8"))
    operations = {item["operationId"]: item for path in document["paths"].values() for item in path.values()}
    count = 0
    for source, leads in LINKS.items():
        for status, name, target, given in leads:
            assert operations[source]["responses"][status]["links"][name]["operationId"] == target
            taken = {item["name"]: item["required"] for item in operations[target].get("parameters", ())}
            assert set(given.get("parameters", {})) <= set(taken), (source, target)
            needed = {item for item, required in taken.items() if required}
            assert needed <= set(given.get("parameters", {})), (source, target)
            assert ("requestBody" in given) <= ("requestBody" in operations[target])
            count += 1
    assert count > 40


def test_conditions_are_described_where_they_hold():
    document = json.loads(openapi.COMMITTED.read_text(encoding="utf-8"))
    search = document["paths"]["/v1/searches/{search_id}"]["get"]
    assert "304" in search["responses"]
    assert "ETag" in search["responses"]["200"]["headers"]
    assert "If-None-Match" in [item["name"] for item in search["parameters"]]
    for action in ("pause", "resume", "cancel"):
        assert "412" in document["paths"][f"/v1/searches/{{search_id}}/{action}"]["post"]["responses"]
    assert "304" not in document["paths"]["/metrics"]["get"]["responses"]
