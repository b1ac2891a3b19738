"""The answers of the OpenAPI document as Python types, for the client: ``nas_service/client_types.py`` is made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nas_service

# What methods of the client return; the types of their parts come with them.
ANSWERS = (
    "ArchitectureOut", "CostedArchitecture", "DatasetOut", "DeviceOut", "EventOut", "ExportOut", "FrontOut", "KeyOut",
    "MeasurementOut", "NewKeyOut", "PlanOut", "SearchOut", "SpaceOut", "SupernetOut", "TableOut", "TrialDetailOut",
    "TrialOut",
)  # fmt: skip
GENERATED = Path(nas_service.__path__[0]) / "client_types.py"
_HEADER = '''"""What the service answers, as the Python client returns it: dictionaries as in the OpenAPI document.

Times are ISO 8601 texts in UTC; units are in the names. Made by `python -m nas_service.api.openapi`: do not edit.
"""

from __future__ import annotations

from typing import Any, TypedDict

Json = dict[str, Any]
'''
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
_REF = "#/components/schemas/"


def text_of(document: dict[str, Any]) -> str:
    """The module with a ``TypedDict`` for each of ``ANSWERS`` and what they consist of."""
    schemas = document["components"]["schemas"]
    found: dict[str, Any] = {}
    waiting = list(ANSWERS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = schemas[name]
            waiting += [part.removeprefix(_REF) for part in _references(schemas[name])]
    return "\n\n".join([_HEADER, *(_class(name, schema) for name, schema in sorted(found.items()))]).rstrip() + "\n"


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for part in schema for name in _references(part)]
    if not isinstance(schema, dict):
        return []
    return [schema["$ref"]] if "$ref" in schema else _references(list(schema.values()))


def _class(name: str, schema: dict[str, Any]) -> str:
    lines = schema["description"].splitlines()
    first, rest = lines[0], ["", *lines[2:], ""] if len(lines) > 1 else []
    text = [f"class {_name(name)}(TypedDict):", f'    """{first}' + ("" if rest else '"""')]
    text += [f"    {line}".rstrip() for line in rest[:-1]] + (['    """'] if rest else [])
    fields = [f"    {key}: {_type(value)}" for key, value in schema["properties"].items()]
    return "\n".join([*text, "", *fields, ""])


def _name(schema: str) -> str:
    return schema.removesuffix("Out")


def _type(schema: dict[str, Any]) -> str:
    """The annotation of one value. Raises KeyError for a schema of a kind that no answer has had so far."""
    if "$ref" in schema:
        return _name(schema["$ref"].removeprefix(_REF))
    if "anyOf" in schema:
        options = ["None" if option.get("type") == "null" else _type(option) for option in schema["anyOf"]]
        return " | ".join(dict.fromkeys(options))
    if schema.get("type") == "array":
        return f"list[{_type(schema['items'])}]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties", True)
        return "Json" if values is True else f"dict[str, {_type(values)}]"
    return _PLAIN[schema["type"]] if schema else "Any"
