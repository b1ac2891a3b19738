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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
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

from workers.attached import Attached, attached_devices, free_gpus
from workers.context import WorkContext
from workers.group_line import Line
from workers.head_watch import HeadWatch
from workers.pool_interface import Done, Lost, Message, Report, device_needed, slots_needed, warm_key
from workers.slot import Member, Slot, SlotSettings

log = logging.getLogger(__name__)

_GET_S = 10.0
_START_S = 120.0
_MAX_STILLBORN = 10
_CLOSE_S = 10.0
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

    group, settings, actor = WorkerGroup.current(), config["settings"], config["group"]

    def send(reports: str, error: dict[str, Any] | None) -> bool:
        try:
            return bool(ray.get(actor.exchange.remote(group.rank, reports, error), timeout=_GET_S))
        except RayError as failure:
            raise ConnectionError(str(failure)) from failure

    line = Line(send)
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


@dataclass
class _Worker:
    """A slot: its actor, what that occupies, and what it does. A slot whose resources another job uses for its group
    has no actor. `attached` is the device that the slot is for, `host` the machine that its actor is on."""

    occupies: dict[str, Any]
    attached: Attached | None = None
    host: str | None = None
    machine: dict[str, Any] = field(default_factory=dict)
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
    """One actor per CPU of the cluster or, where it has GPUs, one per GPU; dead ones are replaced. One more for each
    attached device (`workers.attached`), which does what names this device and nothing else.

    Without ``address`` a private Ray is started on this machine and ends with this process; with one, the cluster
    there is used and its token must be in ``RAY_AUTH_TOKEN`` or Ray's token file. Nodes that join later bring their
    slots and devices, and take them along when they leave, unless ``num_slots`` says how many slots there are.
    A job of several workers takes the place of as many actors, which are started again when it has ended.
    """

    def __init__(
        self, artifacts: Path, marker: str, *, address: str | None = None, num_slots: int | None = None
    ) -> None:
        _connect(address, num_slots)
        self._is_private = address is None
        self._num_slots = num_slots
        self._head = HeadWatch(ray.nodes)
        resources = self._head.resources
        self.device = "cuda:0" if free_gpus(resources, attached_devices(resources)) > 0 else "cpu"
        self._settings = SlotSettings(str(artifacts), marker, self.device, 1)
        self._workers: list[_Worker] = []
        self._seen: Mapping[str, float] = {}
        self._wanted = self._largest_group = 0
        self._reserved: frozenset[str] = frozenset()
        self._stillborn = 0
        self._resize()

    @property
    def num_slots(self) -> int:
        return sum(worker.attached is None for worker in self._workers)

    @property
    def largest_group(self) -> int:
        return self._largest_group

    @property
    def num_free(self) -> int:
        return len(self._free())

    @property
    def num_busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    @property
    def devices(self) -> dict[str, dict[str, Any]]:
        return {
            worker.attached.resource: worker.machine
            for worker in self._workers
            if worker.attached is not None and worker.pid is not None
        }

    @property
    def pids(self) -> dict[str, int]:
        """Process id of the actor of each running job, as far as known."""
        return {worker.job[0]: worker.pid for worker in self._workers if worker.job and worker.pid}

    def reserve(self, devices: Collection[str]) -> None:
        self._reserved = frozenset(devices)

    def is_quiet(self, device: str) -> bool:
        hosts = self._hosts({device})
        return not any((worker.job or worker.lends_to) and worker.host in hosts for worker in self._workers)

    def submit(self, job_id: str, epoch: int, kind: str, payload: dict[str, Any]) -> None:
        free, needed = self._free(device_needed(payload)), slots_needed(kind, payload)
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
        self._resize()
        waited = [ref for w in self._workers for ref in (w.outcome, w.ready, w.life) if ref is not None]
        # Progress comes within the time of one poll; a job's end wakes the wait at once.
        ready, _ = ray.wait(waited, num_returns=1, timeout=timeout_s)
        done = set(ready) | set(ray.wait(waited, num_returns=len(waited), timeout=0)[0])
        messages: list[Message] = []
        self._check_alive()
        for worker in self._workers:
            try:
                if worker.ready is not None and worker.ready in done:
                    about = json.loads(ray.get(worker.ready, timeout=_GET_S))
                    worker.pid, worker.machine, worker.ready = about["pid"], about["machine"], None
                    worker.host = about.get("host", worker.host)  # a group is where its members were
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

    def _resize(self) -> None:
        """As many slots as living nodes have room for. Those of a node that left go as they are found dead."""
        if self._head.resources != self._seen:
            resources = self._seen = self._head.resources
            attached = attached_devices(resources)
            known = {worker.attached for worker in self._workers}
            for device in attached:
                if device not in known:
                    self._add({"num_cpus": 0, "num_gpus": device.num_gpus, "resources": {device.resource: 1}}, device)
            room = int(resources["CPU"]) if self.device == "cpu" else free_gpus(resources, attached)
            self._wanted = self._num_slots or max(1, room)
            self._largest_group = max(self._largest_group, self._wanted)
        for _ in range(self._wanted - self.num_slots):
            self._add({"num_cpus": 1} if self.device == "cpu" else {"num_cpus": 0, "num_gpus": 1})
        homeless = [
            worker for worker in self._workers if worker.ready is not None and not (worker.attached or worker.job)
        ]
        for worker in homeless[: max(0, self.num_slots - self._wanted)]:
            ray.kill(worker.actor)
            self._workers.remove(worker)

    def _add(self, occupies: dict[str, Any], attached: Attached | None = None) -> None:
        worker = _Worker(occupies, attached)
        self._workers.append(worker)
        self._fill(worker)

    def _free(self, resource: str | None = None) -> list[_Worker]:
        """Slots that can take a job, for this attached device or for none."""
        reserved = self._hosts(self._reserved)
        return [
            worker
            for worker in self._workers
            if worker.job is None
            and worker.pid is not None
            and (worker.attached.resource if worker.attached else None) == resource
            and (resource is not None or worker.host not in reserved)
        ]

    def _hosts(self, devices: Collection[str]) -> set[str | None]:
        """The machines that these attached devices are."""
        return {worker.host for worker in self._workers if worker.attached and worker.attached.resource in devices}

    def _check_alive(self) -> None:
        """Raise when no worker has come up for long: the cluster itself is gone, and only a new start helps."""
        slots = [worker for worker in self._workers if worker.attached is None]
        if any(worker.pid is not None or worker.job is not None for worker in slots):
            return
        if all(time.monotonic() - worker.started > _START_S for worker in slots):
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

    def _fill(self, worker: _Worker) -> None:
        """Give a slot the actor it is for."""
        settings = self._settings
        if worker.attached is not None:
            settings = replace(settings, device="cuda:0" if worker.attached.processor == "cuda" else "cpu")
        self._employ(worker, Slot, settings, **worker.occupies, max_concurrency=_SLOT_THREADS)

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
            self._fill(slot)

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
