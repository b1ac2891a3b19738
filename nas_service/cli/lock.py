"""One service at a time below one NAS_HOME."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
