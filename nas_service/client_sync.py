"""The blocking Python client, made from the asynchronous one: ``python -m nas_service.client_sync`` writes `client.py`.

Both say the same, word for word but for the words of asynchronous Python; a test compares them.
"""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).with_name("client_async.py")
GENERATED = Path(__file__).with_name("client.py")
_WORDS = (
    (r"`client.py` is made .*", "Made from `client_async.py` by `python -m nas_service.client_sync`: do not edit."),
    (r"from nas_service\.client_async import", "from nas_service.client import"),
    (r"import asyncio\n", ""),
    (r"import AsyncIterator, Callable, Iterable, ", "import Callable, Iterable, Iterator, "),
    (r"await asyncio\.to_thread\((\w+), (\w+)\)", r"\1(\2)"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"\(await ([^\n]*?)\)(\.json|\[\")", r"\1\2"),
    (r"\b(async|await) ", ""),
    (r"\bAsync(Client|Iterator)\b", r"\1"),
    (r"for item in (page\S+):\n +yield item\n", r"yield from \1\n"),
    (r"__a(enter|exit)__", r"__\1__"),
    (r"\ba(close|read|iter_lines|iter_bytes)\(", r"\1("),
)


def text_of(source: str) -> str:
    """The blocking client, given the asynchronous one."""
    for pattern, replacement in _WORDS:
        source = re.sub(pattern, replacement, source)
    return source


def main() -> None:
    """Write the blocking client anew."""
    GENERATED.write_text(text_of(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
