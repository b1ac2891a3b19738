"""Locks below one NAS_HOME: one service at a time, and who still uses the database that a command has started."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from nas_service.errors import Conflict


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home's lock; the kernel frees it with the process. Raises ``Conflict`` if another process holds it."""
    with (home / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"the service already runs with this home ({home})") from None
        yield


def shared(path: Path) -> TextIO:
    """A file held together with any number of other processes, until it is closed or the process ends."""
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_last(file: TextIO) -> bool:
    """Whether nobody else holds a ``shared`` file; then nobody else can until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
