"""A check of Schemathesis for rules that no schema can express: a request that fits the document meets only those."""

from __future__ import annotations

from typing import get_args

import schemathesis
from pydantic_core import core_schema

# Refusals of the shape of a request: a request that fits the document must never meet one.
SHAPE_CODES = frozenset(get_args(core_schema.ErrorType)) - {"value_error"}
# Places whose content is judged by the language of search spaces, with words of its own.
FREE_FORM = ("/document", "/space/document", "/architectures/")
# What a method takes depends on its name.
METHOD_PARAMS = "/params/"
# What a 400 may be about: cursors are signed; free-form JSON has limits of depth and size.
BEYOND_SCHEMA = ("page_token:", "the body is nested", "the body has more than", "an object has more than")


@schemathesis.check
def refused_only_by_rules_beyond_the_schema(ctx, response, case) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code == 422:
        errors = response.json().get("errors", ())
        codes = {
            item["code"]
            for item in errors
            if not item["pointer"].startswith(FREE_FORM) and METHOD_PARAMS not in item["pointer"]
        }
        assert not codes & SHAPE_CODES, f"refused for its shape: {codes & SHAPE_CODES}"
    elif response.status_code == 400:
        assert response.json()["detail"].startswith(BEYOND_SCHEMA), response.json()["detail"]
    else:
        assert response.status_code not in (413, 415, 421)


@schemathesis.hook
def filter_case(context, case) -> bool:
    """HTTP lets anybody add header fields, which are ignored (RFC 9110, 5.1): nothing that could be refused."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})
