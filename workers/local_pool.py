"""A pool of child processes on this machine, without Ray: for tests, and for a machine that does without a cluster."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from nas_service import logs
from workers.context import WorkContext
from workers.pool_interface import Done, Lost, Message, Report, slots_needed, warm_key

log = logging.getLogger(__name__)


@dataclass
class _Slot:
    process: BaseProcess
    connection: Connection
    job: tuple[str, int] | None = None
    warm: set[str] = field(default_factory=set)


class LocalPool:
    """Processes live until ``close`` and are replaced when they die. Messages are JSON, never pickles.

    They are forked from one process that has loaded what they need and done nothing with it: torch takes seconds to
    import, which another worker or a replacement need not wait for, and its code is in memory once.
    """

    device = "cpu"

    def __init__(self, artifacts: Path, marker: str, *, num_slots: int) -> None:
        self.num_slots = num_slots
        self.devices: dict[str, dict[str, Any]] = {}  # other machines need Ray too
        self.largest_group = 1  # workers that train together need Ray, which brings them to each other
        self._settings = (str(artifacts), marker)
        self._context = multiprocessing.get_context("forkserver")
        # Python runs the program's own module again in each worker: what that imports is loaded beforehand too.
        program = getattr(sys.modules["__main__"].__spec__, "name", None)
        self._context.set_forkserver_preload(["workers.tasks", "torch._dynamo", *([program] if program else [])])
        self._slots = [self._start() for _ in range(num_slots)]

    @property
    def num_free(self) -> int:
        return sum(slot.job is None for slot in self._slots)

    @property
    def num_busy(self) -> int:
        return self.num_slots - self.num_free

    @property
    def pids(self) -> dict[str, int]:
        """Process id of the worker of each running job."""
        return {slot.job[0]: int(slot.process.pid or 0) for slot in self._slots if slot.job is not None}

    def reserve(self, devices: Collection[str]) -> None:
        """There are none."""

    def is_quiet(self, device: str) -> bool:
        raise LookupError(f"no device {device} is attached to this machine")

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        free = [i for i, slot in enumerate(self._slots) if slot.job is None]
        if len(free) < slots_needed(kind, payload) or slots_needed(kind, payload) > self.largest_group:
            raise RuntimeError("no slot is free")
        key = warm_key(kind, payload)
        chosen = next((i for i in free if key in self._slots[i].warm), free[0])
        if not self._slots[chosen].process.is_alive():
            self._replace(chosen)
        slot = self._slots[chosen]
        slot.job = (job_id, epoch)
        slot.warm.add(key)
        try:
            self._send(slot, {"do": "run", "kind": kind, "payload": payload})
        except OSError:
            log.warning("worker process %s died while it was idle", slot.process.pid)
            # The closed connection says so to ``poll``, which reports the job as lost.

    def poll(self, timeout_s: float) -> list[Message]:
        messages: list[Message] = []
        ready = wait([slot.connection for slot in self._slots], timeout_s)
        for i, slot in enumerate(self._slots):
            if slot.connection in ready:
                self._drain(i, slot, messages)
        return messages

    def stop(self, job_id: str) -> None:
        for slot in self._slots:
            if slot.job is not None and slot.job[0] == job_id:
                try:
                    self._send(slot, {"do": "stop"})
                except OSError:
                    log.warning("worker process %s is gone", slot.process.pid)

    def kill(self, job_id: str) -> None:
        for slot in self._slots:
            if slot.job is not None and slot.job[0] == job_id:
                slot.process.kill()

    def close(self) -> None:
        for slot in self._slots:
            slot.process.kill()
        for slot in self._slots:
            slot.process.join()
            slot.connection.close()

    def _drain(self, i: int, slot: _Slot, messages: list[Message]) -> None:
        try:
            while slot.connection.poll():
                message = json.loads(slot.connection.recv_bytes())
                if slot.job is None:
                    continue
                if "report" in message:
                    messages.append(Report(*slot.job, message["report"]))
                else:
                    messages.append(Done(*slot.job, message.get("result"), message.get("error")))
                    slot.job = None
        except (EOFError, OSError):
            slot.process.join(timeout=10)
            if slot.job is not None:
                code = slot.process.exitcode
                messages.append(Lost(*slot.job, f"worker process {slot.process.pid} ended with exit code {code}"))
            self._replace(i)

    def _replace(self, i: int) -> None:
        old = self._slots[i]
        old.process.kill()
        old.process.join()
        old.connection.close()
        self._slots[i] = self._start()

    def _start(self) -> _Slot:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, *self._settings), daemon=True)
        process.start()
        theirs.close()
        return _Slot(process, ours)

    @staticmethod
    def _send(slot: _Slot, message: dict[str, Any]) -> None:
        slot.connection.send_bytes(json.dumps(message, allow_nan=False).encode())


def serve(connection: Connection, artifacts: str, marker: str) -> None:
    """The life of a worker process: one job after another, until the pool's end of the connection closes."""
    # Ctrl-C goes to every process of the terminal; only the dispatcher decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure()  # to the dispatcher's standard error, for what is said between jobs
    stopping = threading.Event()
    inbox: list[dict[str, Any]] = []
    arrived = threading.Condition()
    sending = threading.Lock()

    def receive() -> None:
        try:
            while True:
                message = json.loads(connection.recv_bytes())
                if message["do"] == "stop":
                    stopping.set()
                    continue
                stopping.clear()  # here, in the order in which both are sent: a stop may follow its job closely
                with arrived:
                    inbox.append(message)
                    arrived.notify()
        except (EOFError, OSError):
            os._exit(0)  # the pool is gone: nobody would take the result

    def send(message: dict[str, Any]) -> None:
        with sending:
            connection.send_bytes(json.dumps(message, allow_nan=False).encode())

    threading.Thread(target=receive, daemon=True).start()
    from workers.execute import execute

    context = WorkContext(
        artifacts=Path(artifacts),
        report=lambda report: send({"report": report}),
        should_stop=stopping.is_set,
        device=LocalPool.device,
        threads=1,
    )
    while True:
        with arrived:
            arrived.wait_for(lambda: bool(inbox))
            message = inbox.pop(0)
        send(execute(message["kind"], message["payload"], context, marker))
