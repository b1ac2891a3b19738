"""What the operator decides, read once from `NAS_` environment variables into one immutable object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas_service.errors import InvalidInput

DRIVER = "postgresql+psycopg://"


@dataclass(frozen=True)
class Settings:
    """Settings of one process; without a database URL the embedded server below `home` is used."""

    home: Path
    database_url: str | None = field(default=None, repr=False)
    ray_address: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    lease_s: float = 30.0
    renew_s: float = 10.0
    # how long a search waits for an attached device that is away
    device_wait_s: float = 21600.0
    # further names under which the service may be addressed, besides loopback and `host`
    allowed_hosts: frozenset[str] = frozenset()
    # requests of one key: so many a second in the long run, so many at once
    rate_per_s: float = 50.0
    rate_burst: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.renew_s < self.lease_s:
            raise InvalidInput.at("NAS_RENEW_S", "must be positive and smaller than NAS_LEASE_S")
        if not self.device_wait_s > 0:
            raise InvalidInput.at("NAS_DEVICE_WAIT_S", "must be positive")
        if not 0 <= self.port <= 65535:
            raise InvalidInput.at("NAS_PORT", "must lie between 0 and 65535")
        if not self.rate_per_s > 0:
            raise InvalidInput.at("NAS_RATE_PER_S", "must be positive")
        if self.rate_burst < 1:
            raise InvalidInput.at("NAS_RATE_BURST", "must be at least 1")

    @property
    def artifacts(self) -> Path:
        """The artifact directory, shared by every process of the installation."""
        return self.home / "artifacts"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the variables; `InvalidInput` names the one that is wrong. An empty variable counts as unset."""
        given = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
        home = Path(given["NAS_HOME"]).expanduser() if "NAS_HOME" in given else default_home()
        url = given.get("NAS_DATABASE_URL")
        return cls(
            home=home.absolute(),
            database_url=None if url is None else with_driver(url),
            ray_address=given.get("NAS_RAY_ADDRESS"),
            host=given.get("NAS_HOST", cls.host),
            port=int(_number(given, "NAS_PORT", cls.port)),
            lease_s=_number(given, "NAS_LEASE_S", cls.lease_s),
            renew_s=_number(given, "NAS_RENEW_S", cls.renew_s),
            device_wait_s=_number(given, "NAS_DEVICE_WAIT_S", cls.device_wait_s),
            allowed_hosts=frozenset(
                name.strip().lower() for name in given.get("NAS_ALLOWED_HOSTS", "").split(",") if name.strip()
            ),
            rate_per_s=_number(given, "NAS_RATE_PER_S", cls.rate_per_s),
            rate_burst=int(_number(given, "NAS_RATE_BURST", cls.rate_burst)),
        )


def default_home() -> Path:
    """`/var/lib/nas` for root, whose home directory the database's user may not enter; else `~/.nas`."""
    return Path("/var/lib/nas") if os.geteuid() == 0 else Path.home() / ".nas"


def with_driver(url: str) -> str:
    """A Postgres URL in SQLAlchemy's spelling; `InvalidInput` for another database."""
    for prefix in (DRIVER, "postgresql://", "postgres://"):
        if url.startswith(prefix):
            return DRIVER + url[len(prefix) :]
    raise InvalidInput.at("NAS_DATABASE_URL", "must start with postgresql://")


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(given.get(name, default))
    except ValueError:
        raise InvalidInput.at(name, "must be a number") from None
