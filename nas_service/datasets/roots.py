"""Which folders data may be read from: a path is resolved, links and all, and must lie under an allowed root."""

from collections.abc import Iterable
from pathlib import Path

from nas_service.datasets.errors import DatasetError


def resolve_inside(path: str | Path, roots: Iterable[str | Path]) -> Path:
    """The real path of an existing file or folder under one of the roots; DatasetError when it lies elsewhere.

    Both sides are resolved before they are compared, so neither `..` nor a symbolic link leads outside.
    """
    allowed = [Path(root).resolve() for root in roots]
    listed = ", ".join(str(root) for root in allowed) or "no folder: no root is configured"
    if "\0" in str(path):
        raise DatasetError("path", "contains a NUL character", listed)
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise DatasetError(str(path), "no such file or folder", f"files under {listed}") from error
    if not any(real == root or root in real.parents for root in allowed):
        raise DatasetError(str(path), "lies outside the allowed roots", f"files under {listed}")
    return real
