"""Answers: the base of all response models, pages, problems, access, methods, health. Times are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")
Json = dict[str, Any]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(from_attributes=True)


class Page(View, Generic[Item]):
    """One page of a list; ``next_page_token`` is null on the last one."""

    items: list[Item]
    next_page_token: str | None = None


class FieldProblem(View):
    """One thing that is wrong: where (JSON pointer into the body), which rule, what is allowed."""

    pointer: str
    code: str
    message: str
    suggestion: str | None = None


class ProblemOut(View):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] | None = None


class WarningOut(View):
    """Something that went wrong without ending anything: which kind, what, and what to change."""

    code: str
    message: str
    suggestion: str


class SessionOut(View):
    """Who is signed in, and what they may do."""

    id: str
    name: str
    scopes: list[str]


class KeyOut(View):
    """A key as it is listed; its secret is not stored."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyOut(View):
    """A new key; ``key`` is shown here once and never again."""

    id: str
    key: str


class MethodOut(View):
    """A method that a request may name, with the JSON Schema of its parameters."""

    name: str
    help: str
    parameters: Json


class MethodsOut(View):
    """Everything a search request may name."""

    strategies: list[MethodOut]
    supernet_recipes: list[MethodOut]
    network_recipes: list[MethodOut]
    runtimes: list[Json]
    metrics: list[Json]
    space_language: Json


class MetaOut(View):
    """The service and its version."""

    name: str
    version: str


class HealthOut(View):
    """Named checks, each ``ok``."""

    status: str
    checks: dict[str, str] = {}
