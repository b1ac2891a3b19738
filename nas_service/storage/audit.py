"""Who changed what, from where: one row in the transaction of the change."""

from __future__ import annotations

from nas_service.storage.session import Session
from nas_service.storage.tables import AuditRow


def record(session: Session, principal: str, action: str, subject: str, remote: str | None = None) -> None:
    """Note that ``principal`` did ``action``, such as "search.cancel", to the id ``subject`` from ``remote``."""
    session.add(AuditRow(principal=principal, action=action, subject=subject, remote=remote))
