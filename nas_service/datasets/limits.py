"""Upper limits that every data set is held to, whatever it is read from."""

import re

from nas_service.datasets.errors import DatasetError

MAX_SAMPLES = 5_000_000
MAX_BYTES = 8 * 2**30
MAX_CLASSES = 10_000
MAX_FEATURES = 65_536
MAX_CHANNELS = 64
MAX_LENGTH = 65_536
MAX_VOCABULARY = 200_000
MAX_SIDE = 2_048
MAX_IMAGE_PIXELS = 50_000_000
MAX_IMAGE_FILE_BYTES = 256 * 2**20
MAX_NAME_CHARACTERS = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def check_name(name: str) -> str:
    """The name itself when it can serve in URLs and file names; DatasetError otherwise."""
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.match(name):
        raise DatasetError(
            "name", f"{name[:120]!r} is not a usable name", "letters, digits, '.', '_' and '-', at most 100 characters"
        )
    return name


def check_bytes(where: str, num_bytes: int) -> None:
    """Refuse arrays that would not fit beside a supernet in a worker's memory."""
    if num_bytes > MAX_BYTES:
        raise DatasetError(
            where, f"needs {num_bytes / 2**30:.1f} GiB as an array", f"at most {MAX_BYTES / 2**30:.0f} GiB"
        )
