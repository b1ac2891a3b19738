"""The marker of the artifact directory: proof that controller and worker see the same one.

A worker on another machine whose directory is not the shared one would write checkpoints that nobody finds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

FILE_NAME = ".nas-artifacts"


class WrongArtifactsError(RuntimeError):
    """The directory is not the artifact store of this installation."""


def ensure_marker(artifacts: Path) -> str:
    """The marker of the directory, written first if there is none; for the controller."""
    artifacts.mkdir(parents=True, exist_ok=True)
    path = artifacts / FILE_NAME
    temporary = artifacts / f"{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}"
    if not path.exists():
        temporary.write_text(secrets.token_hex(16))
        # Whoever links first wins; a link appears with its whole content.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_text()


def check_marker(artifacts: Path, marker: str) -> None:
    """Raises WrongArtifactsError unless the directory carries this marker; for workers."""
    path = artifacts / FILE_NAME
    try:
        found = path.read_text()
    except OSError as error:
        raise WrongArtifactsError(f"{artifacts} is not the shared artifact directory: {error}") from error
    if found != marker:
        raise WrongArtifactsError(f"{artifacts} belongs to another installation")
