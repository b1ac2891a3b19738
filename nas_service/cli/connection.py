"""Where the service is and with which key: `NAS_URL` and `NAS_API_KEY`, else what `nas up` left for its operator."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from nas_service.cli.lock import is_last, only_one, shared
from nas_service.client import Client
from nas_service.errors import Conflict, Unauthenticated
from nas_service.settings import Settings
from nas_service.storage.session import Engine, make_engine

if TYPE_CHECKING:
    from nas_service.storage.embedded import EmbeddedPostgres

CREDENTIALS = "cli.json"


def credentials_file(settings: Settings) -> Path:
    """Address and key for the operator's own shell; mode 0600."""
    return settings.home / CREDENTIALS


def save_credentials(settings: Settings, url: str, key: str | None) -> None:
    """Let `nas` on this machine, as this user, talk to the service: with a new key, or with the one it has at another
    address."""
    if key is None:
        if not credentials_file(settings).exists():
            return
        key = json.loads(credentials_file(settings).read_text())["key"]
    descriptor = os.open(credentials_file(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "key": key}, file)


@dataclass(frozen=True)
class Address:
    """Where the service is, and the key to use there, as far as one is known."""

    url: str
    key: str | None


def service_address(settings: Settings, environ: Mapping[str, str]) -> Address:
    """What the environment says, else the credentials file, else this machine's own settings."""
    saved: dict[str, str] = {}
    if credentials_file(settings).exists():
        saved = json.loads(credentials_file(settings).read_text())
    url = environ.get("NAS_URL") or saved.get("url") or f"http://{settings.host}:{settings.port}"
    return Address(url, environ.get("NAS_API_KEY") or saved.get("key"))


def connect() -> Client:
    """A client of the service. Raises ``Unauthenticated`` when no key is known."""
    address = service_address(Settings.from_environment(), os.environ)
    if not address.key:
        raise Unauthenticated("no API key: set NAS_API_KEY, or start the service here with `nas up`")
    return Client(address.url, address.key)


def database() -> Engine:
    """The service's database, for the operator's commands (keys, data, doctor, migrate).

    Raises ``Unavailable`` when neither NAS_DATABASE_URL nor an embedded server is there.
    """
    settings = Settings.from_environment()
    if settings.database_url is not None:
        return make_engine(settings.database_url)
    from nas_service.storage.embedded import EmbeddedPostgres

    settings.home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    server, user = EmbeddedPostgres(settings.home), shared(settings.home / "database-users.lock")
    atexit.register(_stop_unless_used, server, user)
    return make_engine(server.start())


def _stop_unless_used(server: EmbeddedPostgres, user: TextIO) -> None:
    """Stop the server, unless the service or another command is using it."""
    with suppress(Conflict):
        if is_last(user):
            with only_one(server.home):
                server.stop()
