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
from dataclasses import dataclass
from functools import partial

from nas_service.control.reconcile import Reconciler
from nas_service.control.results import Claim, record_done, record_failure, record_report, record_start
from nas_service.errors import Unavailable
from nas_service.methods.runtimes import RUNTIMES
from nas_service.settings import Settings
from nas_service.storage import devices, installation, jobs
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import Engine, Session, make_engine, run_in_transaction
from workers.local_pool import LocalPool
from workers.measure.machine import machine_fingerprint, num_usable_cores
from workers.pool_interface import Lost, Message, Pool, Report

log = logging.getLogger(__name__)

RECONCILE_EVERY_S = 1.0
REAP_EVERY_S = 5.0
DRAIN_S = 4.0
# The longest a job works without a word: epochs and single evaluations of large networks are far below.
SILENCE_S = 1800.0


@dataclass(frozen=True)
class Timing:
    """How long a claim lasts and how often it is renewed."""

    lease_s: float = 30.0
    renew_s: float = 10.0


class Dispatcher:
    """One pass of the loop is ``step``; ``drain`` gives back what is unfinished."""

    def __init__(self, engine: Engine, pool: Pool, timing: Timing, owner: str | None = None) -> None:
        self.engine = engine
        self.pool = pool
        self.timing = timing
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        self.reconciler = Reconciler(engine)
        self._claims: dict[str, ClaimedJob] = {}
        self._waiting: deque[ClaimedJob] = deque()
        self._unrecorded: deque[Message] = deque()
        self._heard: dict[str, float] = {}
        self._next_reconcile = self._next_renew = self._next_reap = 0.0

    def step(self, timeout_s: float = 0.2) -> None:
        """Do what is due, then wait up to ``timeout_s`` for a worker. Raises Unavailable when the database is away;
        running jobs go on meanwhile and their results are kept."""
        now = time.monotonic()
        if now >= self._next_renew and self._claims:
            self._renew()
            self._next_renew = now + self.timing.renew_s
        if now >= self._next_reap:
            jobs.reap(self.engine)
            self._next_reap = now + REAP_EVERY_S
        if now >= self._next_reconcile:
            self.reconciler.reconcile()
            self._next_reconcile = now + RECONCILE_EVERY_S
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
            failed = partial(record_failure, claim=_identity(claim), reason="worker_lost", message=text)
            run_in_transaction(self.engine, failed)
        self._claims.clear()
        self._waiting.clear()

    def _listen(self, timeout_s: float) -> None:
        """Collect what workers say; one that has said nothing for too long hangs and is ended."""
        messages = self.pool.poll(timeout_s)
        now = time.monotonic()
        self._heard.update({message.job_id: now for message in messages})
        self._unrecorded.extend(messages)
        for job_id in self._running():
            if now - self._heard.setdefault(job_id, now) > SILENCE_S:
                log.warning("job %s has been silent for %.0f s, its worker is ended", job_id, SILENCE_S)
                self.pool.kill(job_id)
                self._heard[job_id] = now
        for job_id in set(self._heard) - set(self._claims):
            del self._heard[job_id]

    def _running(self) -> list[str]:
        waiting = {claim.id for claim in self._waiting}
        return [job_id for job_id in self._claims if job_id not in waiting]

    def _renew(self) -> None:
        held = jobs.renew(self.engine, list(self._claims.values()), self.timing.lease_s)
        for job_id in set(self._claims) - held:
            log.info("job %s is no longer ours", job_id)
            self.pool.stop(job_id)
        self._waiting = deque(claim for claim in self._waiting if claim.id in held)
        running = set(self._running())
        for job_id in set(self._claims) - held - running:
            del self._claims[job_id]

    def _claim(self) -> None:
        """Take as many jobs as there are free slots; none while one waits for or works on the machine alone."""
        if self._waiting or any(claim.exclusive for claim in self._claims.values()) or self.pool.num_free == 0:
            return
        for claim in jobs.claim(self.engine, self.owner, limit=self.pool.num_free, lease_s=self.timing.lease_s):
            self._claims[claim.id] = claim
            self._waiting.append(claim)

    def _submit(self) -> None:
        while self._waiting and self.pool.num_free:
            claim = self._waiting[0]
            alone = self.pool.num_busy == 0
            exclusive_runs = any(self._claims[job_id].exclusive for job_id in self._running())
            if exclusive_runs or (claim.exclusive and not alone):
                return
            run_in_transaction(self.engine, partial(record_start, claim=_identity(claim)))
            self._waiting.popleft()
            self.pool.submit(claim.id, claim.epoch, claim.kind, {**claim.payload, "epoch": claim.epoch})

    def _record(self) -> None:
        """Write what came back, in order; what the database cannot take now stays for the next time."""
        while self._unrecorded:
            message = self._unrecorded[0]
            claim = self._claims.get(message.job_id)
            if claim is not None and claim.epoch == message.epoch:
                write = _writer(message, _identity(claim))
                try:
                    run_in_transaction(self.engine, write)
                except Unavailable:
                    raise
                except Exception as error:  # a result that cannot be stored must not hold up all others
                    log.exception("what came back for job %s cannot be recorded", claim.id)
                    if not isinstance(message, Report):
                        self._give_up(claim, error)
                if not isinstance(message, Report):
                    del self._claims[claim.id]
                    self._next_reconcile = 0.0
            self._unrecorded.popleft()

    def _give_up(self, claim: ClaimedJob, error: Exception) -> None:
        text = f"the result cannot be recorded: {type(error).__name__}: {error}"[:2000]
        run_in_transaction(self.engine, lambda session: record_failure(session, _identity(claim), "error", text))


def _identity(claim: ClaimedJob) -> Claim:
    return Claim(
        id=claim.id,
        kind=claim.kind,
        payload=claim.payload,
        epoch=claim.epoch,
        search_id=claim.search_id,
        supernet_id=claim.supernet_id,
        subject_id=claim.subject_id,
    )


def _writer(message: Message, claim: Claim) -> Callable[[Session], bool]:
    if isinstance(message, Report):
        return lambda session: record_report(session, claim, message.data)
    if isinstance(message, Lost):
        return lambda session: record_failure(session, claim, "worker_lost", message.message)
    if message.error is not None:
        error = message.error
        return lambda session: record_failure(session, claim, error["reason"], error["message"])
    result = message.result or {}
    return lambda session: record_done(session, claim, result)


def register_local_devices(session: Session, has_cuda: bool) -> None:
    """Let searches name this machine's processors as devices."""
    for processor in ("cpu", "cuda") if has_cuda else ("cpu",):
        runtimes = sorted(name for name, runtime in RUNTIMES.items() if processor in runtime.processors)
        fingerprint = {**machine_fingerprint(), "processor": processor}
        devices.register(session, name=f"local-{processor}", runtimes=runtimes, fingerprint=fingerprint)


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
    """Run until SIGTERM or SIGINT with settings from the environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings.from_environment()
    if settings.database_url is None:
        log.error("NAS_DATABASE_URL is not set")
        return 2
    engine = make_engine(settings.database_url)
    installed = run_in_transaction(engine, installation.ensure)
    installation.mark_artifacts(installed, settings.artifacts)
    pool = make_pool(settings, installed.artifact_marker)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets handlers of its own
        signal.signal(number, lambda *_: stopping.set())
    try:
        run_in_transaction(engine, partial(register_local_devices, has_cuda=pool.device != "cpu"))
        run(Dispatcher(engine, pool, Timing(settings.lease_s, settings.renew_s)), stopping)
    finally:
        pool.close()
        engine.dispose()
    return 0


def make_pool(settings: Settings, marker: str) -> Pool:
    """Ray, or plain child processes when ``NAS_RAY_ADDRESS`` is ``none``."""
    if settings.ray_address != "none":
        from workers.pool import RayPool  # ray takes seconds to import

        return RayPool(settings.artifacts, marker, address=settings.ray_address)
    return LocalPool(settings.artifacts, marker, num_slots=num_usable_cores())


if __name__ == "__main__":
    raise SystemExit(main())
