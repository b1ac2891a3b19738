"""A pool of Ray actors: the only file that knows Ray. Ray executes and nothing more; what is true stands in Postgres.

Ray retries nothing (`max_restarts=0`, no task retries), since leases and epochs already do. Every wait has a time
limit, because a driver may not notice for most of a minute that the head of its cluster has died.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Read when ray is imported: without it `ray start --address` and a driver do not agree on who may connect.
os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import GetTimeoutError, RayError

from workers.context import WorkContext
from workers.pool_interface import Done, Lost, Message, Report, warm_key

log = logging.getLogger(__name__)

_GET_S = 10.0
_START_S = 120.0


class Slot:
    """The actor: does one job at a time and, on a second thread, answers for it meanwhile."""

    def __init__(self, artifacts: str, marker: str, device: str, threads: int) -> None:
        import workers.tasks  # noqa: F401 (torch and all, before the first job)

        self._artifacts, self._marker = Path(artifacts), marker
        self._device, self._threads = device, threads
        self._stopping = threading.Event()
        self._reports: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def ready(self) -> int:
        """The process id, once the worker can take a job."""
        return os.getpid()

    def run(self, kind: str, payload: str) -> str:
        """Do a job; payload and outcome are JSON text."""
        from workers.execute import execute

        context = WorkContext(
            artifacts=self._artifacts,
            report=self._add_report,
            should_stop=self._stopping.is_set,
            device=self._device,
            threads=self._threads,
        )
        self._stopping.clear()
        return json.dumps(execute(kind, json.loads(payload), context, self._marker))

    def take_reports(self) -> str:
        """Reports since the last call, as JSON text."""
        with self._lock:
            reports, self._reports = self._reports, []
        return json.dumps(reports)

    def stop(self) -> None:
        """Ask the running job to end early."""
        self._stopping.set()

    def _add_report(self, report: dict[str, Any]) -> None:
        with self._lock:
            self._reports.append(report)


@dataclass
class _Worker:
    actor: Any
    pid: int | None = None
    ready: Any = None
    started: float = field(default_factory=time.monotonic)
    job: tuple[str, int] | None = None
    outcome: Any = None
    reports: Any = None
    warm: set[str] = field(default_factory=set)


class RayPool:
    """One actor per CPU of the cluster or, where it has GPUs, one per GPU; dead ones are replaced.

    Without ``address`` a private Ray is started on this machine and ends with this process; with one, the cluster
    there is used and its token must be in ``RAY_AUTH_TOKEN`` or Ray's token file.
    """

    def __init__(
        self, artifacts: Path, marker: str, *, address: str | None = None, num_slots: int | None = None
    ) -> None:
        _connect(address, num_slots)
        resources = ray.cluster_resources()
        num_gpus = int(resources.get("GPU", 0))
        self.num_slots = num_slots or num_gpus or max(1, int(resources.get("CPU", 1)))
        self.device = "cuda:0" if num_gpus else "cpu"
        self._resources = {"num_gpus": 1} if num_gpus else {"num_cpus": 1}
        self._settings = (str(artifacts), marker, self.device, 1)
        self._workers = [self._start() for _ in range(self.num_slots)]

    @property
    def num_free(self) -> int:
        return sum(worker.job is None and worker.pid is not None for worker in self._workers)

    @property
    def num_busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    @property
    def pids(self) -> dict[str, int]:
        """Process id of the worker of each running job, as far as known."""
        return {worker.job[0]: worker.pid for worker in self._workers if worker.job and worker.pid}

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        free = [worker for worker in self._workers if worker.job is None and worker.pid is not None]
        if not free:
            raise RuntimeError("no slot is free")
        key = warm_key(kind, payload)
        worker = next((worker for worker in free if key in worker.warm), free[0])
        worker.job = (job_id, epoch)
        worker.warm.add(key)
        worker.outcome = worker.actor.run.remote(kind, json.dumps(payload, allow_nan=False))
        worker.reports = worker.actor.take_reports.remote()

    def poll(self, timeout_s: float) -> list[Message]:
        busy = [worker for worker in self._workers if worker.job is not None]
        waited = [worker.outcome for worker in busy] + [w.ready for w in self._workers if w.ready is not None]
        if not waited:
            threading.Event().wait(timeout_s)
            return []
        # Progress comes within the time of one poll; a job's end wakes the wait at once.
        ready, _ = ray.wait(waited, num_returns=1, timeout=timeout_s)
        done = set(ready) | set(ray.wait(waited, num_returns=len(waited), timeout=0)[0])
        messages: list[Message] = []
        self._check_alive()
        for i, worker in enumerate(self._workers):
            try:
                self._note_ready(worker, done)
                self._collect(worker, done, messages)
            except GetTimeoutError:
                log.warning("a worker did not answer within %.0f s", _GET_S)
            except RayError as error:
                if worker.job is not None:
                    messages.append(Lost(*worker.job, f"{type(error).__name__}: {error}"[:2000]))
                self._replace(i)
        return messages

    def stop(self, job_id: str) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job[0] == job_id:
                worker.actor.stop.remote()

    def kill(self, job_id: str) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job[0] == job_id:
                ray.kill(worker.actor)

    def close(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(RayError):
                ray.kill(worker.actor)
        ray.shutdown()

    def _check_alive(self) -> None:
        """Raise when no worker has come up for long: the cluster itself is gone, and only a new start helps."""
        if any(worker.pid is not None for worker in self._workers):
            return
        if all(time.monotonic() - worker.started > _START_S for worker in self._workers):
            raise RuntimeError(f"Ray has started no worker within {_START_S:.0f} s")
        if not any(node["Alive"] for node in ray.nodes()):
            raise RuntimeError("every node of the Ray cluster is dead")

    def _collect(self, worker: _Worker, done: set[Any], messages: list[Message]) -> None:
        if worker.job is None:
            return
        ended = worker.outcome in done
        outcome = json.loads(ray.get(worker.outcome, timeout=_GET_S)) if ended else None
        if ended or ray.wait([worker.reports], timeout=0)[0]:
            reports = json.loads(ray.get(worker.reports, timeout=_GET_S))
            worker.reports = worker.actor.take_reports.remote()
            if ended:  # what was said between the last question and the end
                reports += json.loads(ray.get(worker.reports, timeout=_GET_S))
            messages += [Report(*worker.job, report) for report in reports]
        if outcome is not None:
            messages.append(Done(*worker.job, outcome.get("result"), outcome.get("error")))
            worker.job = worker.outcome = worker.reports = None

    @staticmethod
    def _note_ready(worker: _Worker, done: set[Any]) -> None:
        if worker.ready is not None and worker.ready in done:
            worker.pid = ray.get(worker.ready, timeout=_GET_S)
            worker.ready = None

    def _start(self) -> _Worker:
        options = {**self._resources, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        actor = ray.remote(Slot).options(**options).remote(*self._settings)
        return _Worker(actor, ready=actor.ready.remote())  # type: ignore[attr-defined]

    def _replace(self, i: int) -> None:
        with contextlib.suppress(RayError):
            ray.kill(self._workers[i].actor)
        self._workers[i] = self._start()


def _connect(address: str | None, num_slots: int | None) -> None:
    """Join the cluster at ``address`` or start a private one."""
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.WARNING}
    if address is None:
        # A private cluster has a token of its own, which ends with it.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # "local": never the cluster that some other `ray start` on this machine left a note about.
        ray.init(address="local", num_cpus=num_slots, **quiet)
    else:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
