"""API keys `nas_<id>_<secret>`: made once, shown once, stored as a hash; they expire and can be revoked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update

from nas_service.ids import PREFIXES, new_id
from nas_service.storage.session import Session
from nas_service.storage.tables import ApiKeyRow

LIFETIME_S = 90 * 24 * 3600.0
_TOKEN = re.compile(r"nas_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
_USE_RESOLUTION = timedelta(minutes=1)  # last_used_at is written at most this often


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; ``token`` cannot be had again."""

    id: str
    token: str


@dataclass(frozen=True)
class KeyHolder:
    """Whom a valid key or session stands for."""

    id: str
    name: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Key:
    """A key as it is listed."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def create_key(session: Session, name: str, scopes: Collection[str], lifetime_s: float | None = LIFETIME_S) -> NewKey:
    """Make a key with ``scopes`` that expires after ``lifetime_s`` seconds, or never with None."""
    key_id, secret = new_id("key"), secrets.token_urlsafe(32)
    expires_at = None if lifetime_s is None else func.now() + timedelta(seconds=lifetime_s)
    digest = hashlib.sha256(secret.encode()).digest()
    row = ApiKeyRow(id=key_id, name=name, scopes=sorted(scopes), secret_sha256=digest, expires_at=expires_at)
    session.add(row)
    session.flush()
    return NewKey(key_id, f"nas_{key_id.removeprefix(PREFIXES['key'] + '_')}_{secret}")


def verify_key(session: Session, token: str) -> KeyHolder | None:
    """Whom ``token`` stands for; None if it is unknown, expired or revoked."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    key_id = f"{PREFIXES['key']}_{parts[1]}"
    columns = (ApiKeyRow.id, ApiKeyRow.name, ApiKeyRow.scopes, ApiKeyRow.secret_sha256)
    row = session.execute(select(*columns).where(ApiKeyRow.id == key_id, usable())).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_sha256, hashlib.sha256(parts[2].encode()).digest()):
        return None
    stale = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < func.now() - _USE_RESOLUTION)
    session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, stale)
        .values(last_used_at=func.now())
        .execution_options(synchronize_session=False)
    )
    return KeyHolder(row.id, row.name, frozenset(row.scopes))


def revoke_key(session: Session, key_id: str) -> bool:
    """End a key at once; False if there is none or it was revoked before."""
    changed = session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )
    return changed.rowcount == 1  # type: ignore[attr-defined]


def list_keys(session: Session) -> list[Key]:
    """Every key, oldest first, revoked and expired ones included."""
    columns = [getattr(ApiKeyRow, name) for name in Key.__dataclass_fields__]
    rows = session.execute(select(*columns).order_by(ApiKeyRow.id))
    return [Key(row.id, row.name, tuple(row.scopes), *row[3:]) for row in rows]


def usable():
    """SQL: the key is neither revoked nor expired."""
    unexpired = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > func.now())
    return ApiKeyRow.revoked_at.is_(None) & unexpired
