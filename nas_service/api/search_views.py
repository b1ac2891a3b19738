"""Answers about searches: progress, plans, trials, fronts, measurements, architectures, events. Units are in names."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from nas_service.api.spec_views import SpecOut
from nas_service.api.views import Json, View, WarningOut


class EstimatorOut(View):
    """The fitted latency estimator that stands in during a search, with its held-out error."""

    id: str
    device_id: str
    target: Json
    state: str
    held_out: Json | None
    error: Json | None


class DeviceWaitOut(View):
    """A device that is not attached to the cluster now; a search that measures on it waits."""

    device: str
    away_since: datetime


class ProgressOut(View):
    """Progress of the current phase; ``fraction`` 0 to 1 and ``eta_s`` are null while unknown."""

    phase: str
    phase_number: int
    num_phases: int
    fraction: float | None
    eta_s: float | None
    detail: Json | None
    waiting_for: DeviceWaitOut | None
    message: str | None = None


class SearchOut(View):
    """A search: its specification, where it stands, and what it has found.

    ``normalised_hypervolume`` is divided by that of the true front and ``regret`` what is missing to it: in the unit of
    the metric where one is optimised, else 1 - ``normalised_hypervolume``. Null unless a table knows the true front.
    ``full_evaluations`` is what its trials have cost so far in evaluations at full fidelity: as many as trials unless
    the strategy evaluates at less. Counts are null in lists.
    """

    id: str
    name: str
    state: str
    phase: str
    spec: SpecOut
    space_id: str
    dataset_id: str | None
    supernet_id: str | None
    estimator_id: str | None
    table_id: str | None
    num_asked: int
    num_told: int
    num_rejected: int
    exhausted: bool
    reference_point: list[float] | None
    hypervolume: float | None
    normalised_hypervolume: float | None
    regret: float | None
    front_size: int | None
    error: Json | None
    warnings: list[WarningOut] = Field(default_factory=list)
    created_at: datetime
    created_by: str | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut | None = None
    trial_counts: dict[str, dict[str, int]] | None = None
    full_evaluations: float | None = None
    latency_estimator: EstimatorOut | None = None


class PlanOut(View):
    """What a search would do; nothing was started. Times are null where nothing similar has run before."""

    space: Json
    costs: dict[str, Json]
    constraints: Json
    num_trials: int
    supernet_is_ready: bool | None
    jobs: dict[str, int]
    time: dict[str, float | None]
    disk_bytes: int


class TrialOut(View):
    """One evaluation of one architecture. ``latency_ms`` is predicted at stage search, measured at stage final."""

    id: str
    search_id: str
    stage: str
    number: int
    replicate: int
    fidelity: float
    architecture_hash: str
    state: str
    reused_from: str | None
    accuracy_top1: float | None
    loss: float | None
    macs: int | None
    params: int | None
    latency_ms: float | None
    latency_p10_ms: float | None
    latency_p90_ms: float | None
    metrics: Json
    error: Json | None
    eval_s: float | None
    created_at: datetime
    finished_at: datetime | None


class TrialDetailOut(TrialOut):
    """A trial with the choices of its architecture."""

    choices: Json


class FrontPointOut(View):
    """Hypervolume and size of the search front after a number of evaluations."""

    num_evaluations: int
    hypervolume: float
    normalised_hypervolume: float | None = None
    regret: float | None = None
    front_size: int


class FrontOut(View):
    """Non-dominated trials with the volume each adds, and the curve that led here.

    ``device`` is where the shown latencies are from, and ``latency_is`` `measured` or `predicted`. On another device
    than the search's own, hypervolumes with latency as an axis are null.
    """

    search_id: str
    stage: str
    axes: list[str]
    num_evaluations: int
    reference_point: list[float] | None
    hypervolume: float | None
    normalised_hypervolume: float | None
    regret: float | None
    device: str | None
    latency_is: str | None
    members: list[TrialOut]
    contributions: list[float]
    dominated: list[TrialOut]
    history: list[FrontPointOut]


class MeasurementOut(View):
    """A measured value with its protocol and spread."""

    id: str
    trial_id: str | None
    architecture_hash: str
    device_id: str
    metric: str
    value: float
    p10: float | None
    p90: float | None
    num_samples: int
    protocol: Json
    created_at: datetime


class NodeOut(View):
    """One block of a network and what it costs for one example."""

    key: str
    block: str
    params: Json
    inputs: list[int]
    out_shape: Json
    macs: int
    params_count: int


class ArchitectureOut(View):
    """An architecture: its choices, exact costs, blocks, and the trials that evaluated it."""

    hash: str
    space_id: str
    choices: Json
    costs: dict[str, int]
    nodes: list[NodeOut]
    trials: list[TrialOut]


class EventOut(View):
    """Something that happened; ``seq`` grows in the order of commits."""

    seq: int
    type: str
    search_id: str | None
    data: Json
    created_at: datetime


class EventsOut(View):
    """Events after a position; read on with ``after=last_seq``."""

    items: list[EventOut]
    last_seq: int
