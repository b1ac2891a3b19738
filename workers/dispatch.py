"""The dispatcher, `python -m workers.dispatch`: reconciles, claims jobs, hands them to workers, records results.

Postgres holds the truth. Everything here can be killed at any moment: claims end with their leases, results under a
superseded epoch are refused, and the next dispatcher goes on from the rows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from nas_service import logs
from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_done, record_failure, record_report, record_start
from nas_service.errors import Unavailable
from nas_service.processes import Ledger, end_strays
from nas_service.settings import Settings
from nas_service.storage import devices, installation, jobs
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import Engine, Session, make_engine, run_in_transaction
from workers.devices import register_attached, register_local
from workers.local_pool import LocalPool
from workers.measure.machine import num_usable_cores
from workers.pool_interface import Lost, Message, Pool, Report, slots_needed

log = logging.getLogger(__name__)

RECONCILE_EVERY_S = 1.0
REAP_EVERY_S = 5.0
DRAIN_S = 4.0
# How long a training of several workers is put off while some of their nodes are away.
GROUP_DELAY_S = 60.0
# The longest a job works without a word: epochs and single evaluations of large networks are far below.
SILENCE_S = 1800.0


@dataclass(frozen=True)
class Timing:
    """How long a claim lasts, how often it is renewed, and how long a search waits for a device that is away."""

    lease_s: float = 30.0
    renew_s: float = 10.0
    device_wait_s: float = Settings.device_wait_s


def _nothing() -> None:
    """What is swept when there is nothing."""


class Dispatcher:
    """One pass of the loop is ``step``; ``drain`` gives back what is unfinished. ``sweep`` is called now and then."""

    def __init__(self, engine: Engine, pool: Pool, timing: Timing, sweep: Callable[[], None] = _nothing) -> None:
        self.engine = engine
        self.pool = pool
        self.timing = timing
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self.reconciler = Reconciler(engine, timing.device_wait_s)
        self._sweep = sweep
        self._claims: dict[str, ClaimedJob] = {}
        self._waiting: deque[ClaimedJob] = deque()
        self._unrecorded: deque[Message] = deque()
        self._heard: dict[str, float] = {}
        self._registered: dict[str, dict[str, Any]] = {}
        self._next_reconcile = self._next_renew = self._next_reap = 0.0

    def step(self, timeout_s: float = 0.2) -> None:
        """Do what is due, then wait up to ``timeout_s`` for a worker. Raises Unavailable when the database is away;
        running jobs go on meanwhile and their results are kept."""
        now = time.monotonic()
        if now >= self._next_renew and self._claims:
            self._renew()
            self._next_renew = now + self.timing.renew_s
        if now >= self._next_reap:
            self._sweep()
            run_in_transaction(self.engine, partial(devices.note_seen, resources=list(self.pool.devices)))
            for freed in jobs.reap(self.engine):
                with logs.about(job_id=freed.id, search_id=freed.search_id, epoch=freed.epoch, kind=freed.kind):
                    log.warning("the claim of %s ended; the job is %s", freed.owner, freed.state)
            self._next_reap = now + REAP_EVERY_S
        if now >= self._next_reconcile:
            self.reconciler.reconcile()
            self._next_reconcile = now + RECONCILE_EVERY_S
        self._register()
        self._claim()
        self._submit()
        self._listen(timeout_s)
        self._record()

    def drain(self, seconds: float = DRAIN_S) -> None:
        """Ask every job to save its work, record what ends in time, and give the rest back."""
        for job_id in self._running():
            self.pool.stop(job_id)
        deadline = time.monotonic() + seconds
        while self._running() and time.monotonic() < deadline:
            self._listen(0.1)
            self._record()
        for claim in self._claims.values():
            run_in_transaction(self.engine, partial(jobs.release, job_id=claim.id, epoch=claim.epoch))
        self._claims.clear()
        self._waiting.clear()

    def abandon(self, cause: BaseException) -> None:
        """The pool is gone: every claim is lost now instead of when its lease ends."""
        text = f"the pool of workers failed: {type(cause).__name__}: {cause}"[:2000]
        for claim in self._claims.values():
            failed = partial(record_failure, claim=claim, reason="worker_lost", message=text)
            run_in_transaction(self.engine, failed)
        self._claims.clear()
        self._waiting.clear()

    def _listen(self, timeout_s: float) -> None:
        """Collect what workers say; one that has said nothing for too long hangs and is ended."""
        messages = self.pool.poll(timeout_s)
        now = time.monotonic()
        self._heard.update({message.job_id: now for message in messages})
        for message in messages:
            if isinstance(message, Report) and message.data.get("type") == "log":
                with self._about(message.job_id):
                    logs.pass_on({key: value for key, value in message.data.items() if key != "type"})
            else:
                self._unrecorded.append(message)
        for job_id in self._running():
            if now - self._heard.setdefault(job_id, now) > SILENCE_S:
                with self._about(job_id):
                    log.warning("silent for %.0f s, the worker is ended", SILENCE_S)
                self.pool.kill(job_id)
                self._heard[job_id] = now
        for job_id in set(self._heard) - set(self._claims):
            del self._heard[job_id]

    def _running(self) -> list[str]:
        waiting = {claim.id for claim in self._waiting}
        return [job_id for job_id in self._claims if job_id not in waiting]

    def _renew(self) -> None:
        held = jobs.renew(self.engine, list(self._claims.values()), self.timing.lease_s)
        running = self._running()
        self._waiting = deque(claim for claim in self._waiting if claim.id in held)
        for job_id in set(self._claims) - held:
            with self._about(job_id):
                log.info("the claim is no longer ours")
            if job_id in running:
                self.pool.stop(job_id)  # the claim goes when it has ended
            else:
                del self._claims[job_id]

    def _register(self) -> None:
        """Let searches name devices that were attached since the last time."""
        new = {key: machine for key, machine in self.pool.devices.items() if self._registered.get(key) != machine}
        if new:
            run_in_transaction(self.engine, partial(register_attached, machines=new))
            self._registered |= new
            log.info("attached devices: %s", ", ".join(sorted(self.pool.devices)))

    def _claim(self) -> None:
        """Take one job for each attached device and as many others as there are free slots. One that needs all machines
        to itself holds up everything while it waits or works; one on a device only what shares that machine."""
        if any(claim.exclusive and claim.resource is None for claim in self._claims.values()):
            return
        held = {claim.resource for claim in self._claims.values()}
        for device in set(self.pool.devices) - held:
            self._take(1, device)
        self.pool.reserve({claim.resource for claim in self._claims.values() if claim.resource is not None})
        if self.pool.num_free and all(claim.resource for claim in self._waiting):
            self._take(self.pool.num_free, None)

    def _take(self, limit: int, device: str | None) -> None:
        found = jobs.claim(self.engine, self.owner, limit=limit, lease_s=self.timing.lease_s, resource=device)
        self._claims.update({claim.id: claim for claim in found})
        self._waiting.extend(found)

    def _submit(self) -> None:
        """Start what can start, in order for each attached device and for all other slots."""
        held_up = set()
        for claim in list(self._waiting):
            if claim.resource in held_up:
                continue
            needed = slots_needed(claim.kind, claim.payload)
            if needed > self.pool.largest_group:
                self._refuse(claim, needed)
            elif claim.resource is not None and claim.resource not in self.pool.devices:
                self._put_off(claim, f"{claim.resource} is away")
            elif needed > self.pool.num_slots:
                self._put_off(claim, f"{needed} workers are asked for, {self.pool.num_slots} are there", GROUP_DELAY_S)
            elif not self._may_start(claim, needed):
                held_up.add(claim.resource)
                continue
            else:
                self._start(claim)
            self._waiting.remove(claim)

    def _may_start(self, claim: ClaimedJob, needed: int) -> bool:
        """Whether there is room, and for an exclusive job nothing runs beside it: neither here nor at any other
        dispatcher."""
        if claim.resource is None:
            if needed > self.pool.num_free or (claim.exclusive and self.pool.num_busy):
                return False
        elif not self.pool.is_quiet(claim.resource):
            return False
        alone = partial(jobs.may_start_alone, claim=claim, owner=self.owner)
        return not claim.exclusive or run_in_transaction(self.engine, alone)

    def _start(self, claim: ClaimedJob) -> None:
        run_in_transaction(self.engine, partial(record_start, claim=claim))
        with self._about(claim.id):
            log.info("the job starts")
        self.pool.submit(claim.id, claim.epoch, claim.kind, {**claim.payload, "epoch": claim.epoch})

    def _record(self) -> None:
        """Write what came back, in order; what the database cannot take now stays for the next time."""
        while self._unrecorded:
            message = self._unrecorded[0]
            claim = self._claims.get(message.job_id)
            if claim is not None and claim.epoch == message.epoch:
                with self._about(claim.id):
                    self._write(message, claim)
                if not isinstance(message, Report):
                    del self._claims[claim.id]
                    self._next_reconcile = 0.0
            self._unrecorded.popleft()

    def _write(self, message: Message, claim: ClaimedJob) -> None:
        """Store one message in one transaction. Raises Unavailable."""
        try:
            stored = run_in_transaction(self.engine, _writer(message, claim))
        except Unavailable:
            raise
        except Exception as error:  # a result that cannot be stored must not hold up all others
            log.exception("what came back cannot be recorded")
            if not isinstance(message, Report):
                self._give_up(claim, error)
            return
        if isinstance(message, Lost):
            log.warning("the worker is lost: %s", message.message)
        elif not isinstance(message, Report) and message.error is not None:
            log.warning("the job failed (%s): %s", message.error["reason"], message.error["message"])
        elif not isinstance(message, Report):
            log.info("the job was interrupted" if (message.result or {}).get("interrupted") else "the job is done")
        if not stored and not isinstance(message, Report):
            log.warning("the result came too late: the claim is superseded, nothing was changed")

    def _refuse(self, claim: ClaimedJob, needed: int) -> None:
        """Fail a job that no number of slots of this pool can ever do."""
        more = "" if self.pool.largest_group > 1 else " or let the dispatcher use Ray"
        there = f"a job here can have {self.pool.largest_group}: name fewer workers{more}"
        text = f"the recipe asks for {needed} workers, {there}"
        with self._about(claim.id):
            log.warning("refused: %s", text)
            run_in_transaction(self.engine, lambda session: record_failure(session, claim, "error", text))
        del self._claims[claim.id]

    def _put_off(self, claim: ClaimedJob, why: str, delay_s: float = 0.0) -> None:
        """Give back a job for which nodes are missing now."""
        with self._about(claim.id):
            log.warning("put off: %s", why)
        given_back = partial(jobs.release, job_id=claim.id, epoch=claim.epoch, message=why, delay_s=delay_s)
        run_in_transaction(self.engine, given_back)
        del self._claims[claim.id]

    def _about(self, job_id: str) -> AbstractContextManager[None]:
        """Lines written inside are about this job."""
        claim = self._claims.get(job_id)
        if claim is None:
            return logs.about(job_id=job_id)
        return logs.about(
            job_id=job_id,
            search_id=claim.search_id,
            supernet_id=claim.supernet_id,
            epoch=claim.epoch,
            kind=claim.kind,
            trial_id=claim.payload.get("network_id"),
            trace_id=claim.trace_id,
        )

    def _give_up(self, claim: ClaimedJob, error: Exception) -> None:
        text = f"the result cannot be recorded: {type(error).__name__}: {error}"[:2000]
        run_in_transaction(self.engine, lambda session: record_failure(session, claim, "error", text))


def _writer(message: Message, claim: ClaimedJob) -> Callable[[Session], bool]:
    if isinstance(message, Report):
        return lambda session: record_report(session, claim, message.data)
    if isinstance(message, Lost):
        reason = "latency_device_lost" if claim.payload.get("resource") else "worker_lost"
        return lambda session: record_failure(session, claim, reason, message.message)
    if message.error is not None:
        error = message.error
        return lambda session: record_failure(session, claim, error["reason"], error["message"])
    result = message.result or {}
    return lambda session: record_done(session, claim, result)


def run(dispatcher: Dispatcher, stopping: threading.Event) -> None:
    """Loop until told to stop; an absent database is waited for. Whatever else is raised ends the process, and its
    supervisor starts another."""
    delay_s = 0.0
    while not stopping.wait(delay_s):
        try:
            dispatcher.step()
            delay_s = 0.0
        except Unavailable as error:
            delay_s = min(5.0, 2 * delay_s + 0.1)
            log.warning("%s; next try in %.1f s", error.detail, delay_s)
        except Exception as error:
            with contextlib.suppress(Unavailable):
                dispatcher.abandon(error)
            raise
    dispatcher.drain()


def main() -> int:
    """Run until SIGTERM or SIGINT with settings from the environment; 1 when something broke that only a new start
    repairs, 2 when a setting is missing."""
    logs.configure()
    settings = Settings.from_environment()
    if settings.database_url is None:
        log.error("NAS_DATABASE_URL is not set")
        return 2
    for stray in end_strays(settings.home / "processes"):
        log.warning("ended process %d (%s), left by a dead %s", stray.process.pid, stray.process.name, stray.part)
    ledger = Ledger(settings.home / "processes", "dispatcher")
    try:
        _serve(settings, ledger)
    except Exception:
        log.exception("the dispatcher ends")
        return 1
    finally:
        ledger.note()
        ledger.close()
    return 0


def _serve(settings: Settings, ledger: Ledger) -> None:
    engine = make_engine(str(settings.database_url))
    installed = run_in_transaction(engine, installation.ensure)
    installation.mark_artifacts(installed, settings.artifacts)
    pool = make_pool(settings, installed.artifact_marker)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets handlers of its own
        signal.signal(number, lambda *_: stopping.set())
    try:
        ledger.note()
        run_in_transaction(engine, partial(register_local, has_cuda=pool.device != "cpu"))
        log.info("the dispatcher serves")
        timing = Timing(settings.lease_s, settings.renew_s, settings.device_wait_s)
        run(Dispatcher(engine, pool, timing, sweep=ledger.note), stopping)
    finally:
        pool.close()
        engine.dispose()


def make_pool(settings: Settings, marker: str) -> Pool:
    """Ray, or plain child processes when ``NAS_RAY_ADDRESS`` is ``none``."""
    if settings.ray_address != "none":
        from workers.pool import RayPool  # ray takes seconds to import

        return RayPool(settings.artifacts, marker, address=settings.ray_address)
    return LocalPool(settings.artifacts, marker, num_slots=num_usable_cores())


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # Ray's own exit handlers wait for a head that may be dead
