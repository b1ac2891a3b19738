"""The processes that a part of the service has started, noted on disk, so that whoever comes next can end what a killed
part has left behind.

A process is known by its id and the time at which it started, never by its name. Each part writes one file into
``NAS_HOME/processes``; the files of parts on other machines that share the directory are left alone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

SAME_START_S = (
    1.0  # the start of a process is computed from the boot time, which clocks correct by fractions of a second
)


@dataclass(frozen=True)
class Noted:
    """A process as it was noted."""

    pid: int
    started: float
    name: str

    @classmethod
    def of(cls, process: psutil.Process) -> Noted:
        """Raises ``psutil.Error`` when it is gone."""
        return cls(process.pid, process.create_time(), process.name())

    def alive(self) -> psutil.Process | None:
        """The process if it still runs; another one that was given its id does not count, nor does a zombie."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True)
class Stray:
    """A process whose part is dead."""

    process: Noted
    part: str


class Ledger:
    """The processes that this one has started, in one file of ``folder``."""

    def __init__(self, folder: Path, part: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own = Noted.of(psutil.Process())
        self._path = folder / f"{part}-{self._own.pid}.json"
        self._part = part
        self._noted: set[Noted] = set()

    def note(self, roots: Iterable[int] | None = None) -> None:
        """Add what has been started since the last call, and forget what has ended; children of a dead child stay.

        ``roots`` are the processes to begin with, by default all children of this one.
        """
        noted = {process for process in self._noted if process.alive()}
        own = psutil.Process()
        try:
            children = own.children() if roots is None else [psutil.Process(pid) for pid in roots]
        except psutil.NoSuchProcess:
            children = []
        for child in children:
            with suppress(psutil.Error):
                noted |= {Noted.of(child)}
                noted |= {Noted.of(process) for process in child.children(recursive=True)}
        if noted != self._noted or not self._path.exists():
            self._noted = noted
            self._write()

    def close(self) -> None:
        """End what is noted and still runs, and forget it."""
        _end(self._noted)
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        document = {
            "part": self._part,
            "host": socket.gethostname(),
            "owner": asdict(self._own),
            "processes": [asdict(process) for process in sorted(self._noted, key=lambda noted: noted.pid)],
        }
        unfinished = self._path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(document))
        os.replace(unfinished, self._path)


def strays(folder: Path) -> list[Stray]:
    """Processes on this machine that run although the part that started them is dead."""
    return [stray for _, found in _abandoned(folder) for stray in found]


def end_strays(folder: Path) -> list[Stray]:
    """End them, and what they have started in turn; returns what was ended."""
    ended: list[Stray] = []
    while abandoned := _abandoned(folder):
        for path, found in abandoned:
            _end(stray.process for stray in found)
            ended += found
            path.unlink(missing_ok=True)
    return ended


def _abandoned(folder: Path) -> list[tuple[Path, list[Stray]]]:
    """Files of dead parts of this machine, each with those of its processes that still run."""
    abandoned = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError:  # ended and forgotten in this moment
            continue
        if document["host"] != socket.gethostname() or Noted(**document["owner"]).alive():
            continue
        noted = [Noted(**entry) for entry in document["processes"]]
        abandoned.append((path, [Stray(process, document["part"]) for process in noted if process.alive()]))
    return abandoned


def _end(noted: Iterable[Noted]) -> None:
    """Kill processes, and wait until they are gone."""
    killed = []
    for entry in noted:
        process = entry.alive()
        if process is not None:
            try:
                process.kill()
                killed.append(process)
            except psutil.NoSuchProcess:
                continue
    psutil.wait_procs(killed, timeout=10)
