"""Structured logs: one JSON object a line, with the ids of what the line is about.

``about`` names the ids for a stretch of code; every line written inside carries them, whoever writes it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

# What a line may be about. Anything else belongs into the message.
IDS = (
    "search_id", "trial_id", "job_id", "epoch", "kind", "supernet_id", "export_id", "owner", "request_id", "trace_id",
)  # fmt: skip
OWN_LOGGERS = ("nas_service", "workers", "search_spaces", "nas")
TEXT_LIMIT = 8000
PASSED_ON = "passed_on"  # attribute of a record that stands for an entry made elsewhere

_about: ContextVar[dict[str, Any]] = ContextVar("about")


@contextmanager
def about(**ids: Any) -> Iterator[None]:
    """Give every line written inside these ids (some of ``IDS``); None means unknown and is left out."""
    unknown = ids.keys() - set(IDS)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no ids of a log line; {list(IDS)} are")
    token = _about.set({**_about.get({}), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _about.reset(token)


def current(name: str) -> Any:
    """The id of this name (one of ``IDS``) that lines written here carry; None without one."""
    return _about.get({}).get(name)


def entry_of(record: logging.LogRecord) -> dict[str, Any]:
    """A line as JSON object: time (UTC), level, logger, message, process id, the ids, and what was raised."""
    entry = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage()[:TEXT_LIMIT],
        "pid": record.process,
        **_about.get({}),
        **getattr(record, PASSED_ON, {}),
    }
    if record.exc_info and record.exc_info[0] is not None:
        entry["error"] = logging.Formatter().formatException(record.exc_info)[-TEXT_LIMIT:]
    return entry


class JsonLines(logging.Handler):
    """Writes entries as lines to a stream. A line is one write, so that processes sharing a file do not mix."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(json.dumps(entry_of(record), default=str) + "\n")
            self._stream.flush()
        except Exception:
            self.handleError(record)


class _Forward(logging.Handler):
    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        # Libraries say much that is no concern of a job, and sending may itself log.
        own = record.name.split(".")[0] in OWN_LOGGERS
        if record.levelno < (logging.INFO if own else logging.WARNING):
            return
        try:
            self._send(entry_of(record))
        except Exception:
            self.handleError(record)


def pass_on(entry: dict[str, Any]) -> None:
    """Write an entry that another process has made; the ids of the surrounding ``about`` are added."""
    name, level = str(entry.get("logger", __name__)), logging.getLevelName(str(entry.get("level", "info")).upper())
    level = level if isinstance(level, int) else logging.INFO
    record = logging.LogRecord(name, level, "", 0, "%s", (entry.get("message"),), None)
    setattr(record, PASSED_ON, entry)
    logging.getLogger(name).handle(record)


def configure(level: int = logging.INFO, stream: TextIO | None = None) -> JsonLines:
    """Let this process log JSON lines to ``stream`` (standard error); returns the handler."""
    handler = JsonLines(stream or sys.stderr)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    return handler


@contextmanager
def forwarded(send: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Pass what is written inside to ``send``, as from a worker to its dispatcher, instead of writing it here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = [_Forward(send)]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
