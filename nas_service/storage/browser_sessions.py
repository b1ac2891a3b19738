"""Signed-in browsers: the cookie holds a random token, the table its hash; a session ends with its key."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import delete, func, select

from nas_service.storage.keys import KeyHolder, usable
from nas_service.storage.session import Session
from nas_service.storage.tables import ApiKeyRow, BrowserSessionRow

LIFETIME_S = 12 * 3600.0


def start_session(session: Session, key_id: str, lifetime_s: float = LIFETIME_S) -> str:
    """Sign the holder of a key in; the token for the cookie. Ended sessions are cleared away on the way."""
    token = secrets.token_urlsafe(32)
    session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.expires_at < func.now()))
    expires_at = func.now() + timedelta(seconds=lifetime_s)
    session.add(BrowserSessionRow(token_sha256=_digest(token), key_id=key_id, expires_at=expires_at))
    session.flush()
    return token


def session_holder(session: Session, token: str) -> KeyHolder | None:
    """Whom a cookie's token stands for; None if the session or its key has ended."""
    row = session.execute(
        select(ApiKeyRow.id, ApiKeyRow.name, ApiKeyRow.scopes)
        .join(BrowserSessionRow, BrowserSessionRow.key_id == ApiKeyRow.id)
        .where(BrowserSessionRow.token_sha256 == _digest(token), BrowserSessionRow.expires_at > func.now(), usable())
    ).one_or_none()
    return None if row is None else KeyHolder(row.id, row.name, frozenset(row.scopes))


def end_session(session: Session, token: str) -> None:
    """Sign out; ending an unknown session is no error."""
    session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.token_sha256 == _digest(token)))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
