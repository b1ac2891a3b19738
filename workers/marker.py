"""The marker of the artifact directory: proof that controller and worker see the same one.

A worker on another machine whose directory is not the shared one would write checkpoints that nobody finds. The
controller writes the marker (``nas_service.storage.installation``); workers, which never see the database, check it.
"""

from __future__ import annotations

from pathlib import Path

FILE_NAME = ".nas-artifacts"


class WrongArtifactsError(RuntimeError):
    """The directory is not the artifact store of this installation."""


def check_marker(artifacts: Path, marker: str) -> None:
    """Raises WrongArtifactsError unless the directory carries this marker."""
    path = artifacts / FILE_NAME
    try:
        found = path.read_text()
    except OSError as error:
        raise WrongArtifactsError(f"{artifacts} is not the shared artifact directory: {error}") from error
    if found != marker:
        raise WrongArtifactsError(f"{artifacts} belongs to another installation")
