"""Reading: a search with its progress, its trials, architectures, supernets with their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from nas_service.control.spaces import compiled_space
from nas_service.domain.metrics import METRICS
from nas_service.domain.records import (
    CurvePoint,
    DeviceWait,
    EstimatorRecord,
    JobRecord,
    SearchRecord,
    SupernetRecord,
    TrialRecord,
)
from nas_service.domain.search import SearchSpec
from nas_service.domain.states import SEARCH_TERMINAL, TRIAL_TERMINAL
from nas_service.errors import NotFound
from nas_service.storage import devices, estimators, searches, supernets, trials, work
from nas_service.storage.session import Session
from search_spaces.network import Network

_MAX_TRIALS = 100  # of one architecture, in its details


@dataclass(frozen=True)
class Progress:
    """Where a search stands: in phase number ``phase_number`` (from 0) of those it goes through, the last of which,
    number ``num_phases``, is its end. ``fraction`` (0 to 1) and ``eta_s`` are of the phase; None where unknown.
    ``waiting_for`` is the device without which it does not go on."""

    phase: str
    phase_number: int
    num_phases: int
    fraction: float | None
    eta_s: float | None
    detail: dict[str, Any] | None
    waiting_for: DeviceWait | None


def metric_names(search: SearchRecord) -> set[str]:
    """Names of the metrics that trials of a search may have: the service's own and those of its table."""
    return {
        *METRICS,
        *(one["metric"] for one in search.spec["objectives"]),
        *search.spec["evaluator"].get("report", ()),
    }


@dataclass(frozen=True)
class SearchDetail:
    """A search with everything its page shows at the top."""

    search: SearchRecord
    spec: SearchSpec
    progress: Progress
    trial_counts: dict[str, dict[str, int]]
    full_evaluations: float
    supernet: SupernetRecord | None
    estimator: EstimatorRecord | None


@dataclass(frozen=True)
class Overview:
    """A search as it stands in a list: with progress unless it is over, and with what is wrong with its supernet."""

    search: SearchRecord
    progress: Progress | None
    warnings: list[dict[str, str]]


@dataclass(frozen=True)
class SupernetDetail:
    """A supernet with its learning curves and the job that trains or trained it."""

    supernet: SupernetRecord
    curve: list[CurvePoint]
    job: JobRecord | None


@dataclass(frozen=True)
class ArchitectureDetail:
    """An architecture: its choices, exact costs, network layer by layer, and the trials that evaluated it."""

    hash: str
    space_id: str
    choices: dict[str, Any]
    genes: list[int]
    costs: dict[str, int]
    network: Network
    trials: list[TrialRecord]


def search_detail(session: Session, search_id: str) -> SearchDetail:
    """Raises NotFound."""
    search = searches.get(session, search_id)
    tallies = trials.tallies(session, [search_id])
    return SearchDetail(
        search=search,
        spec=SearchSpec.from_json(search.spec),
        progress=progress_of(session, [search], tallies)[search_id],
        trial_counts=tallies[search_id].counts,
        full_evaluations=tallies[search_id].full_evaluations,
        supernet=supernets.get(session, search.supernet_id) if search.supernet_id else None,
        estimator=estimators.get(session, search.estimator_id) if search.estimator_id else None,
    )


def overviews(session: Session, found: Sequence[SearchRecord]) -> list[Overview]:
    """What a list shows of these searches, in their order; as many queries for many searches as for one."""
    active = [search for search in found if search.state not in SEARCH_TERMINAL]
    progress = progress_of(session, active, trials.tallies(session, [search.id for search in active])) if active else {}
    known = supernets.get_many(session, {search.supernet_id for search in found if search.supernet_id})
    return [
        Overview(
            search, progress.get(search.id), known[search.supernet_id].warnings if search.supernet_id in known else []
        )
        for search in found
    ]


def progress_of(
    session: Session, found: Sequence[SearchRecord], tallies: dict[str, trials.Tally]
) -> dict[str, Progress]:
    """By search the progress of its current phase."""
    jobs = work.of_subjects(session, {subject for search in found if (subject := _awaited(search)) is not None})
    waits = {wait.search_id: wait for wait in devices.waits(session, [s.id for s in found if s.state == "running"])}
    now = searches.now(session)
    return {
        search.id: _progress(
            search, tallies[search.id].counts, jobs.get(_awaited(search) or ""), now, waits.get(search.id)
        )
        for search in found
    }


def _awaited(search: SearchRecord) -> str | None:
    """The supernet or estimator that the search waits for."""
    return {"supernet": search.supernet_id, "latency": search.estimator_id}.get(search.phase)


def _progress(
    search: SearchRecord,
    counts: dict[str, dict[str, int]],
    job: JobRecord | None,
    now: datetime,
    wait: DeviceWait | None,
) -> Progress:
    phases = SearchSpec.from_json(search.spec).phases
    fraction, eta_s, detail = None, None, None
    if search.phase in ("supernet", "latency"):
        detail = None if job is None else job.progress
        if detail and detail.get("num_steps"):
            fraction = min(1.0, detail.get("step", 0) / detail["num_steps"])
            eta_s = detail.get("eta_s")
    elif search.phase == "search":
        budget = search.spec["budget"]["trials"]
        done = _num_terminal(counts.get("search", {}))
        fraction = done / budget
        started = search.search_started_at
        if started is not None and done and search.state == "running":
            eta_s = (now - started).total_seconds() / done * (budget - done)
        detail = {"num_finished": done, "num_trials": budget}
    elif search.phase == "finalists":
        wanted = search.spec["finalists"]["count"]
        done = _num_terminal(counts.get("final", {}))
        fraction = min(1.0, done / wanted) if wanted else 1.0
        detail = {"num_finished": done, "num_finalists": wanted}
    else:
        fraction, eta_s = 1.0, 0.0
    return Progress(search.phase, phases.index(search.phase), len(phases) - 1, fraction, eta_s, detail, wait)


def supernet_detail(session: Session, supernet_id: str) -> SupernetDetail:
    """Raises NotFound."""
    supernet = supernets.get(session, supernet_id)
    return SupernetDetail(supernet, supernets.curve(session, supernet_id), work.of_subject(session, supernet_id))


def architecture_detail(session: Session, architecture_hash: str) -> ArchitectureDetail:
    """An architecture that some trial has evaluated. Raises NotFound."""
    found = trials.of_architecture(session, architecture_hash, limit=_MAX_TRIALS)
    if not found:
        raise NotFound(f"no trial has evaluated an architecture {architecture_hash}")
    space = compiled_space(session, searches.get(session, found[0].search_id).space_id)
    genes = np.array(found[0].genes, dtype=np.int16)
    network = space.resolve(genes)
    return ArchitectureDetail(
        hash=architecture_hash,
        space_id=space.id,
        choices=dict(space.architecture(genes).choices),
        genes=found[0].genes,
        costs=vars(network.cost()),
        network=network,
        trials=found,
    )


def _num_terminal(counts: dict[str, int]) -> int:
    return sum(count for state, count in counts.items() if state in TRIAL_TERMINAL)
