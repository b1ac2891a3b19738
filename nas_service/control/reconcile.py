"""The reconciler: reads what is wanted and what is there, and takes each search one step further.

Level-triggered: nothing is remembered but what a row says, so it can be killed at any point and started again, and two
of them at once do no harm.
"""

from __future__ import annotations

import logging
import time
from functools import partial

from nas_service import logs
from nas_service.control.advance import Live, search_phase
from nas_service.control.ending import fail_search, finish_search
from nas_service.control.exports import settle_exports
from nas_service.control.finalists import finalists_phase
from nas_service.control.inline import inline_phase
from nas_service.control.payloads import surroundings_of
from nas_service.control.preparation import latency_phase, supernet_phase
from nas_service.domain.records import DeviceWait, SearchRecord
from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.errors import Unavailable
from nas_service.settings import Settings
from nas_service.storage import devices, estimators, events, jobs, searches, supernets, work
from nas_service.storage.session import Engine, Session, run_in_transaction

log = logging.getLogger(__name__)

_MAX_FAILURES = 3


class Reconciler:
    """Steps every active search. Keeps strategies in memory between steps; the rows can always rebuild them.

    A search waits up to ``device_wait_s`` for an attached device, in the life of one reconciler: while there is none,
    nobody sees whether devices are there.
    """

    def __init__(self, engine: Engine, device_wait_s: float = Settings.device_wait_s) -> None:
        self.engine = engine
        self._device_wait_s = device_wait_s
        self._started = time.monotonic()
        self._lives: dict[str, Live] = {}
        self._failures: dict[str, int] = {}

    def reconcile(self) -> None:
        """One pass. An error in one search leaves the others alone; repeated, it fails that search.

        Raises Unavailable when the database is away.
        """
        active = run_in_transaction(self.engine, searches.active_ids)
        for search_id in active:
            try:
                run_in_transaction(self.engine, partial(self.step, search_id=search_id))
                self._failures.pop(search_id, None)
            except Unavailable:
                self._lives.clear()
                raise
            except Exception as error:
                self._lives.pop(search_id, None)
                self._note_failure(search_id, error)
        for search_id in set(self._lives) - set(active):
            del self._lives[search_id]
        for wait in run_in_transaction(self.engine, devices.waits):
            if min(wait.waited_s, time.monotonic() - self._started) > self._device_wait_s:
                run_in_transaction(self.engine, partial(self._end_waiting, wait=wait))
        run_in_transaction(self.engine, settle_exports)
        run_in_transaction(self.engine, stop_unwanted)

    def step(self, session: Session, search_id: str) -> None:
        """Take one search as far as it goes without waiting, unless another controller is at it."""
        search = searches.lock(session, search_id, skip_locked=True)
        if search is not None:
            with logs.about(search_id=search_id, trace_id=search.trace_id):
                self._step(session, search)

    def _step(self, session: Session, search: SearchRecord) -> None:
        search_id = search.id
        if search.state == "pausing":
            if not work.has_running(session, search_id):
                searches.change_state(session, search, "paused")
                events.record(session, "search.state", {"state": "paused"}, search_id=search_id)
            return
        if search.state == "queued":
            searches.change_state(session, search, "running")
            events.record(session, "search.state", {"state": "running"}, search_id=search_id)
            search = self._enter(session, search_id, SearchSpec.from_json(search.spec).phases[0])
        while search.state == "running":
            spec = SearchSpec.from_json(search.spec)
            if not self._advance(session, search, spec):
                return
            phase = spec.phases[spec.phases.index(search.phase) + 1]
            if phase == "done":
                finish_search(session, search)
                return
            search = self._enter(session, search_id, phase)

    @staticmethod
    def _enter(session: Session, search_id: str, phase: str) -> SearchRecord:
        searches.enter_phase(session, search_id, phase)
        events.record(session, "search.phase", {"phase": phase}, search_id=search_id)
        return searches.get(session, search_id)

    def _advance(self, session: Session, search: SearchRecord, spec: SearchSpec) -> bool:
        """Do what the phase of a running search needs; whether the phase is at its end."""
        if isinstance(spec.evaluator, TableEvaluatorSpec):
            return inline_phase(session, search, spec)
        around = surroundings_of(session, search)
        if search.phase == "supernet":
            return supernet_phase(session, around)
        if search.phase == "latency":
            return latency_phase(session, around)
        if search.phase == "search":
            return search_phase(session, around, self._lives)
        return finalists_phase(session, around)

    def _end_waiting(self, session: Session, wait: DeviceWait) -> None:
        search = searches.lock(session, wait.search_id, skip_locked=True)
        if search is not None and search.state == "running":
            waited = f"{wait.device} has not come back within {self._device_wait_s:g} s (away since {wait.away_since})"
            hint = "the same search, started again, finds what has been trained and scored"
            fail_search(session, search, "latency_device_lost", f"{waited}; {hint}")

    def _note_failure(self, search_id: str, error: Exception) -> None:
        count = self._failures.get(search_id, 0) + 1
        self._failures[search_id] = count
        log.exception("step %d of search %s failed", count, search_id, exc_info=error)
        if count < _MAX_FAILURES:
            return
        self._failures.pop(search_id)
        message = f"the controller cannot advance this search: {type(error).__name__}: {error}"[:2000]

        def fail(session: Session) -> None:
            search = searches.lock(session, search_id, skip_locked=True)
            if search is not None and search.state in searches.ACTIVE:
                fail_search(session, search, "error", message)

        run_in_transaction(self.engine, fail)


def stop_unwanted(session: Session) -> None:
    """Stop shared jobs for which no running search waits any more; they go on from their checkpoint when one does."""
    for job in work.unfinished_shared(session):
        subject = str(job.subject_id)
        if job.kind == "train_supernet":
            if not searches.wants(session, supernet_id=subject) and jobs.cancel(session, job.id):
                supernets.set_state(session, subject, "queued")
        elif not searches.wants(session, estimator_id=subject) and jobs.cancel(session, job.id):
            estimators.set_state(session, subject, "queued")
