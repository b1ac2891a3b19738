"""Answers to creating requests, kept with what they created, so that a repeated request gets the first answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from nas_service.errors import InvalidInput, Problem
from nas_service.storage.session import Session
from nas_service.storage.tables import IdempotencyRow

KEPT_S = 24 * 3600.0


@dataclass(frozen=True)
class Answer:
    """What was answered the first time."""

    status: int
    body: dict[str, Any]
    location: str | None


def begin(session: Session, principal: str, key: str, fingerprint: str) -> Answer | None:
    """The answer this key got before, or None: then create, and `store` the answer in the same transaction.

    Waits while another transaction works under the same key. `InvalidInput` if the key came with another request
    (another ``fingerprint`` of method, path and body). Keys belong to their principal and are kept for 24 hours.
    """
    # unit separator: neither an id nor a header value can contain it
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{principal}\x1f{key}", 0))))
    row = session.execute(
        select(IdempotencyRow.fingerprint, IdempotencyRow.status, IdempotencyRow.body, IdempotencyRow.location).where(
            IdempotencyRow.principal == principal, IdempotencyRow.key == key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        message = "this key was used with another request; use a new one"
        raise InvalidInput(f"Idempotency-Key: {message}", problems=(Problem("", "idempotency_key_reused", message),))
    return Answer(row.status, row.body, row.location)


def store(session: Session, principal: str, key: str, fingerprint: str, answer: Answer) -> None:
    """Keep the answer to a request for which `begin` returned None in this transaction."""
    session.add(
        IdempotencyRow(
            principal=principal,
            key=key,
            fingerprint=fingerprint,
            status=answer.status,
            body=answer.body,
            location=answer.location,
        )
    )
    session.flush()


def prune(session: Session, kept_s: float = KEPT_S) -> int:
    """Forget answers older than ``kept_s`` seconds; how many."""
    old = IdempotencyRow.created_at < func.now() - timedelta(seconds=kept_s)
    return session.execute(delete(IdempotencyRow).where(old)).rowcount  # type: ignore[attr-defined]
