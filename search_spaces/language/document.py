"""Parsing a document with good errors, and the JSON Schema of the language."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError as PydanticError

from search_spaces.errors import SpaceError
from search_spaces.language.document_problems import problems_of
from search_spaces.language.grammar import NODE_KINDS, Document
from search_spaces.language.reader import canonical_text, check_data, read_text

__all__ = ["NODE_KINDS", "Document", "json_schema", "parse_document"]


def parse_document(data: dict[str, Any] | str) -> Document:
    """A checked document from plain data, YAML text or JSON text. Raises SpaceError with every problem found."""
    raw = read_text(data) if isinstance(data, str) else check_data(data)
    try:
        text = canonical_text(raw)
    except (RecursionError, UnicodeError):
        raise SpaceError("", "syntax", "the document is not plain JSON") from None
    if len(text) > 4 * 256 * 1024:
        raise SpaceError("", "size", "the document is larger than 256 KiB")
    version = raw.get("language_version", 1)
    if version != 1 or isinstance(version, bool):
        raise SpaceError("/language_version", "version", f"language version {version!r} is unknown", "write 1")
    try:
        document = Document.model_validate(raw)
    except PydanticError as error:
        raise SpaceError(problems_of(error, raw)) from None
    document._raw = raw
    return document


def json_schema() -> dict[str, Any]:
    """JSON Schema of language version 1, for editors and the API."""
    # A choice is also a mapping of values: several alternatives may match, which `oneOf` would refuse.
    text = json.dumps(Document.model_json_schema(by_alias=True)).replace('"oneOf"', '"anyOf"')
    schema = json.loads(text)
    return schema | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Search space, v1"}
