"""What is made from the API and committed: its document beside this file, and the types of the Python client.

``python -m nas_service.api.openapi`` writes both anew after a change of the API.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from nas_service.api import python_types
from nas_service.app import build_api

COMMITTED = Path(__file__).with_name("openapi.json")


def text_of(app: FastAPI) -> str:
    """The document as it is committed."""
    return in_text(app.openapi())


def in_text(document: dict[str, Any]) -> str:
    """A document, written in one way."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the committed document and the types made from it."""
    api = build_api()
    COMMITTED.write_text(text_of(api), encoding="utf-8")
    python_types.GENERATED.write_text(python_types.text_of(api.openapi()), encoding="utf-8")


if __name__ == "__main__":
    main()
