"""A pool of Ray actors: the only file that knows Ray. Ray executes and nothing more; what is true stands in Postgres.

Ray retries nothing (`max_restarts=0`, no task retries, no failures of Ray Train), since leases and epochs already do.
Every wait has a time limit, because a driver may not notice for most of a minute that the head of its cluster has died.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Read when ray is imported: without it `ray start --address` and a driver do not agree on who may connect.
os.environ.setdefault("RAY_AUTH_MODE", "token")
# Training reads and writes below the artifact directory alone, and its metrics go through our own reports.
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup

from workers.context import WorkContext
from workers.pool_interface import Done, Lost, Message, Report, slots_needed, warm_key
from workers.slot import Member, Slot, SlotSettings

log = logging.getLogger(__name__)

_GET_S = 10.0
_START_S = 120.0
_MAX_STILLBORN = 10
_CLOSE_S = 10.0
# The head of a cluster that is only busy answers well within this.
_HEAD_SILENCE_S = 12.0
_HEAD_GRACE_S = 5.0
_EXCHANGE_EVERY_S = 0.5
# A report that is for the pool: the id of the placement group in which the workers of a group are.
_PLACE = "place"
# One for the job, one that waits for the end, one that answers.
_SLOT_THREADS = 3


class Group(Member):
    """Stands for a job that several workers do together through Ray Train; it computes nothing itself."""

    def __init__(self, settings: SlotSettings, size: int) -> None:
        super().__init__(settings)
        self._size = size
        self._claim = ""
        self._errors: dict[int, dict[str, Any]] = {}

    def run(self, claim: str, kind: str, payload: str) -> str:
        """Do a job; payload and outcome are JSON text. Workers have a CPU each, or a GPU each where slots have one."""
        self._claim = claim
        # Nothing is ever stored there: checkpoints are ours.
        with tempfile.TemporaryDirectory(prefix="nas-train-", ignore_cleanup_errors=True) as storage:
            return self._fit(kind, payload, storage)

    def _fit(self, kind: str, payload: str, storage: str) -> str:
        import ray.train.torch

        train: Any = ray.train  # type checkers see the first version of its interface

        class Trainer(train.torch.TorchTrainer):
            def _create_default_callbacks(self) -> list[Any]:
                # Without that of a cleaner of placement groups: it asks a dashboard, which is not there, delays the
                # end of each job by 12 s and stays as a process for ever. The pool cleans up.
                made = super()._create_default_callbacks()
                return [one for one in made if type(one).__name__ != "PlacementGroupCleanerCallback"]

        gpus = self._settings.device != "cpu"
        member = {"group": ray.get_runtime_context().current_actor, "settings": self._settings}
        trainer = Trainer(
            _train_member,
            train_loop_config={**member, "kind": kind, "payload": payload},
            scaling_config=train.ScalingConfig(
                num_workers=self._size, use_gpu=gpus, resources_per_worker={"GPU" if gpus else "CPU": 1}
            ),
            torch_config=train.torch.TorchConfig(backend="nccl" if gpus else "gloo"),
            run_config=train.RunConfig(
                name="group",
                storage_path=storage,
                failure_config=train.FailureConfig(
                    max_failures=0, controller_failure_limit=0, max_preemption_failures=0
                ),
            ),
        )
        try:
            return str(trainer.fit().return_value)
        except train.TrainingFailedError as error:
            return json.dumps({"error": self._why(error)})

    def exchange(self, rank: int, reports: str, error: dict[str, Any] | None) -> bool:
        """A worker hands over its reports, and why it failed; it learns whether to stop."""
        for report in json.loads(reports):
            self._add_report(report)
        if error is not None:
            self._errors[rank] = error
        return self._stopped == self._claim

    def _why(self, error: Exception) -> dict[str, Any]:
        """The error of the worker at fault: when one fails, the others only see that it is gone."""
        causes = [found for _, found in sorted(self._errors.items()) if found["reason"] != "worker_lost"]
        return causes[0] if causes else {"reason": "worker_lost", "message": f"a worker is gone: {error}"[:2000]}


def _train_member(config: dict[str, Any]) -> str:
    """One worker's part of a job, in a process of Ray Train; returns the outcome. Raises when it is an error, so that
    the others do not wait."""
    from ray.train.torch import get_device

    from workers.execute import execute
    from workers.training.distributed import WorkerGroup

    group, settings = WorkerGroup.current(), config["settings"]
    line = _Line(config["group"], group.rank)
    place: Any = ray.util.get_current_placement_group()
    line.report({"type": _PLACE, "id": place.id.hex()})
    context = WorkContext(
        artifacts=Path(settings.artifacts),
        report=line.report,
        should_stop=line.stopping.is_set,
        device=str(get_device()),
        threads=settings.threads,
    )
    with line.open():
        outcome = execute(config["kind"], json.loads(config["payload"]), context, settings.marker, group)
        error = outcome.get("error")
        line.exchange(error)
    if error is not None:
        raise RuntimeError(error["message"])
    return json.dumps(outcome)


class _Line:
    """A worker's line to the actor of its group: a thread brings reports there in order, and the wish to stop back."""

    def __init__(self, group: Any, rank: int) -> None:
        self.stopping = threading.Event()
        self._group, self._rank = group, rank
        self._reports: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def report(self, report: dict[str, Any]) -> None:
        with self._lock:
            self._reports.append(report)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()

    def exchange(self, error: dict[str, Any] | None = None) -> None:
        """Hand over what there is, at the end with what went wrong. Raises RayError when the group's actor is gone:
        nobody would take the result."""
        with self._lock:  # held while sending, so that batches arrive in order
            batch = json.dumps(self._reports)
            if ray.get(self._group.exchange.remote(self._rank, batch, error), timeout=_GET_S):
                self.stopping.set()
            self._reports.clear()

    def _serve(self) -> None:
        while not self._ended.wait(_EXCHANGE_EVERY_S):
            try:
                self.exchange()
            except RayError as error:
                log.warning("the group does not answer: %s", error)


@dataclass
class _Worker:
    """A slot: its actor, and what it does. A slot whose resources another job uses for its group has no actor."""

    actor: Any = None
    pid: int | None = None
    ready: Any = None
    life: Any = None
    started: float = field(default_factory=time.monotonic)
    job: tuple[str, int] | None = None
    outcome: Any = None
    reports: Any = None
    warm: set[str] = field(default_factory=set)
    lends_to: str | None = None
    place: str | None = None


class RayPool:
    """One actor per CPU of the cluster or, where it has GPUs, one per GPU; dead ones are replaced.

    Without ``address`` a private Ray is started on this machine and ends with this process; with one, the cluster
    there is used and its token must be in ``RAY_AUTH_TOKEN`` or Ray's token file.
    A job of several workers takes the place of as many actors, which are started again when it has ended.
    """

    def __init__(
        self, artifacts: Path, marker: str, *, address: str | None = None, num_slots: int | None = None
    ) -> None:
        _connect(address, num_slots)
        self._is_private = address is None
        resources = ray.cluster_resources()
        num_gpus = int(resources.get("GPU", 0))
        self.num_slots = num_slots or num_gpus or max(1, int(resources.get("CPU", 1)))
        self.largest_group = self.num_slots
        self.device = "cuda:0" if num_gpus else "cpu"
        self._resources = {"num_gpus": 1} if num_gpus else {"num_cpus": 1}
        self._settings = SlotSettings(str(artifacts), marker, self.device, 1)
        self._workers = [self._start() for _ in range(self.num_slots)]
        self._head = _Head()
        self._stillborn = 0

    @property
    def num_free(self) -> int:
        return len(self._free())

    @property
    def num_busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    @property
    def pids(self) -> dict[str, int]:
        """Process id of the actor of each running job, as far as known."""
        return {worker.job[0]: worker.pid for worker in self._workers if worker.job and worker.pid}

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        free, needed = self._free(), slots_needed(kind, payload)
        if len(free) < needed:
            raise RuntimeError(f"{needed} slots are needed, {len(free)} are free")
        key = warm_key(kind, payload)
        worker = next((worker for worker in free if key in worker.warm), free[0])
        if needed > 1:
            self._gather(worker, [other for other in free if other is not worker][: needed - 1], job_id)
        worker.job = (job_id, epoch)
        worker.warm.add(key)
        worker.outcome = worker.actor.run.remote(_claim_name(job_id, epoch), kind, json.dumps(payload, allow_nan=False))
        worker.reports = worker.actor.take_reports.remote()

    def poll(self, timeout_s: float) -> list[Message]:
        self._head.check()
        waited = [ref for w in self._workers for ref in (w.outcome, w.ready, w.life) if ref is not None]
        # Progress comes within the time of one poll; a job's end wakes the wait at once.
        ready, _ = ray.wait(waited, num_returns=1, timeout=timeout_s)
        done = set(ready) | set(ray.wait(waited, num_returns=len(waited), timeout=0)[0])
        messages: list[Message] = []
        self._check_alive()
        for worker in self._workers:
            try:
                if worker.ready is not None and worker.ready in done:
                    worker.pid, worker.ready = ray.get(worker.ready, timeout=_GET_S), None
                    self._stillborn = 0
                self._collect(worker, done, messages)
                if worker.life in done:
                    ray.get(worker.life, timeout=_GET_S)  # raises why it has died
            except GetTimeoutError:
                log.warning("a worker did not answer within %.0f s", _GET_S)
            except RayError as error:
                if worker.job is not None:
                    messages.append(Lost(*worker.job, f"{type(error).__name__}: {error}"[:2000]))
                else:
                    log.warning("an idle worker is lost: %s", error)
                was_ready = worker.pid is not None
                self._replace(worker)
                if not was_ready:
                    self._note_stillborn(error)
        return messages

    def stop(self, job_id: str) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job[0] == job_id:
                worker.actor.stop.remote(_claim_name(*worker.job))

    def kill(self, job_id: str) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job[0] == job_id:
                ray.kill(worker.actor)  # what a group's actor has started ends with it

    def close(self) -> None:
        """End all workers at once. A dead head is not waited for: what it leaves ends with this process' supervisor."""

        def shut_down() -> None:
            for worker in self._workers:
                if worker.actor is not None:
                    with contextlib.suppress(RayError):
                        ray.kill(worker.actor)
            ray.shutdown()

        self._head.leave()
        thread = threading.Thread(target=shut_down, daemon=True)
        thread.start()
        thread.join(_CLOSE_S)
        if thread.is_alive():
            log.warning("Ray did not shut down within %.0f s", _CLOSE_S)

    def _free(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is None and worker.pid is not None]

    def _check_alive(self) -> None:
        """Raise when no worker has come up for long: the cluster itself is gone, and only a new start helps."""
        if any(worker.pid is not None or worker.job is not None for worker in self._workers):
            return
        if all(time.monotonic() - worker.started > _START_S for worker in self._workers):
            raise RuntimeError(f"Ray has started no worker within {_START_S:.0f} s")

    def _note_stillborn(self, error: RayError) -> None:
        """Raise when workers keep ending before they are ready: what they start with is wrong (after an update of the
        code below a running dispatcher, say), and only a new start helps."""
        self._stillborn += 1
        if self._stillborn >= _MAX_STILLBORN:
            raise RuntimeError(f"{self._stillborn} workers in a row ended as they started: {error}")

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
            for report in reports:
                if report.get("type") == _PLACE:
                    worker.place = report["id"]
                else:
                    messages.append(Report(*worker.job, report))
        if outcome is not None:
            messages.append(Done(*worker.job, outcome.get("result"), outcome.get("error")))
            if any(other.lends_to == worker.job[0] for other in self._workers):
                self._replace(worker)
            worker.job = worker.outcome = worker.reports = None

    def _start(self) -> _Worker:
        worker = _Worker()
        self._employ(worker, Slot, self._settings, **self._resources, max_concurrency=_SLOT_THREADS)
        return worker

    @staticmethod
    def _employ(worker: _Worker, kind: type[Member], *arguments: Any, **options: Any) -> None:
        """Give a slot a new actor."""
        options = {"max_restarts": 0, "max_task_retries": 0, **options}
        worker.actor = ray.remote(kind).options(**options).remote(*arguments)
        worker.pid, worker.started = None, time.monotonic()
        worker.ready, worker.life = worker.actor.ready.remote(), worker.actor.live.remote()
        worker.job = worker.outcome = worker.reports = worker.lends_to = worker.place = None
        worker.warm = set()

    def _gather(self, worker: _Worker, lenders: list[_Worker], job_id: str) -> None:
        """Make room for a group: its members take the resources of these slots, its own actor needs none."""
        for member in (worker, *lenders):
            ray.kill(member.actor)
        for lender in lenders:
            lender.actor = lender.pid = lender.life = None
            lender.lends_to = job_id
        size = len(lenders) + 1
        self._employ(worker, Group, self._settings, size, num_cpus=0, max_concurrency=size + 4)

    def _replace(self, worker: _Worker) -> None:
        """A new actor for this slot, and for those that lent it their resources."""
        lenders = [other for other in self._workers if worker.job and other.lends_to == worker.job[0]]
        with contextlib.suppress(RayError):
            ray.kill(worker.actor)
        if lenders:
            self._give_back_place(worker)
        for slot in (worker, *lenders):
            self._employ(slot, Slot, self._settings, **self._resources, max_concurrency=_SLOT_THREADS)

    def _give_back_place(self, group: _Worker) -> None:
        """Free what the workers of a group had, which a group that was killed has not done. One that was killed before
        they could tell of it leaves the only place there is in a cluster of our own, unless another group is at work.
        """
        places = [] if group.place is None else [group.place]
        others = any(worker.lends_to for worker in self._workers if group.job and worker.lends_to != group.job[0])
        if not places and self._is_private and not others:
            places = [str(place["placement_group_id"]) for place in ray.util.placement_group_table().values()]
        for place in places:
            ray.util.remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(place)))


def _claim_name(job_id: str, epoch: int) -> str:
    return f"{job_id}.{epoch}"


class _Head:
    """Asks the head of the cluster for its nodes, again and again: a driver would notice its death much later."""

    def __init__(self) -> None:
        self._answered = time.monotonic()
        self._suspected: float | None = None
        self._has_nodes = True
        self._left = threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def check(self) -> None:
        """RuntimeError when it has not answered for long, or knows of no living node."""
        if not self._has_nodes:
            raise RuntimeError("every node of the Ray cluster is dead")
        now = time.monotonic()
        silence_s = now - self._answered
        if silence_s < _HEAD_SILENCE_S:
            self._suspected = None
        elif self._suspected is None:
            self._suspected = now  # perhaps it is this process that stood still, and nobody has asked
        elif now - self._suspected > _HEAD_GRACE_S:
            raise RuntimeError(f"the head of the Ray cluster has not answered for {silence_s:.0f} s")

    def leave(self) -> None:
        """Ask no more."""
        self._left.set()

    def _ask(self) -> None:
        while not self._left.wait(2.0):
            with contextlib.suppress(Exception):  # whatever it raises: it did not answer
                self._has_nodes = any(node["Alive"] for node in ray.nodes())
                self._answered = time.monotonic()


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
