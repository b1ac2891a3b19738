"""What the service answers: response models, read from domain objects. Times are UTC, units are in the names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator

Item = TypeVar("Item")
Json = dict[str, Any]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(from_attributes=True)


class Page(View, Generic[Item]):
    """One page of a list; ``next_page_token`` is null on the last one."""

    items: list[Item]
    next_page_token: str | None = None


class FieldProblem(View):
    """One thing that is wrong: where (JSON pointer into the body), which rule, what is allowed."""

    pointer: str
    code: str
    message: str
    suggestion: str | None = None


class ProblemOut(View):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] | None = None


class ProgressOut(View):
    """Progress of the current phase; ``fraction`` 0 to 1 and ``eta_s`` are null while unknown."""

    phase: str
    phase_number: int
    num_phases: int
    fraction: float | None
    eta_s: float | None
    detail: Json | None
    message: str | None = None


class SearchOut(View):
    """A search: its specification, where it stands, and what it has found."""

    id: str
    name: str
    state: str
    phase: str
    spec: Json
    space_id: str
    dataset_id: str
    supernet_id: str | None
    estimator_id: str | None
    num_asked: int
    num_told: int
    num_rejected: int
    exhausted: bool
    reference_point: list[float] | None
    hypervolume: float | None
    front_size: int | None
    error: Json | None
    created_at: datetime
    created_by: str | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut | None = None
    trial_counts: dict[str, dict[str, int]] | None = None
    latency_estimator: EstimatorOut | None = None


class EstimatorOut(View):
    """The fitted latency estimator that stands in during a search, with its held-out error."""

    id: str
    device_id: str
    target: Json
    state: str
    held_out: Json | None
    error: Json | None


class PlanOut(View):
    """What a search would do; nothing was started. Times are null where nothing similar has run before."""

    space: Json
    costs: dict[str, Json]
    constraints: Json
    num_trials: int
    supernet_is_ready: bool
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
    front_size: int


class FrontOut(View):
    """Non-dominated trials with the volume each adds, and the curve that led here."""

    search_id: str
    stage: str
    axes: list[str]
    num_evaluations: int
    reference_point: list[float] | None
    hypervolume: float | None
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


class SpaceOut(View):
    """A search space; ``cardinality`` is an exact integer as text, since it may exceed every number type."""

    id: str
    name: str
    num_genes: int
    cardinality: str
    created_at: datetime

    @field_validator("cardinality", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str:
        return str(value)


class SpaceDetailOut(SpaceOut):
    """A search space with its document and its choices."""

    document: Json
    genes: list[Json]


class SpaceProfileOut(View):
    """Size and costs of a space; minimum and maximum are over the smallest, the largest and sampled architectures."""

    id: str
    name: str
    num_genes: int
    cardinality: str
    costs: dict[str, dict[str, float]]
    num_sampled: int


class CostedArchitecture(View):
    """An architecture by its choices, with its exact costs."""

    hash: str
    choices: Json
    costs: dict[str, int]


class ArchitecturesOut(View):
    """Architectures in the order asked for."""

    items: list[CostedArchitecture]


class SupernetOut(View):
    """Shared weights of a space, trained on a data set with a recipe."""

    id: str
    space_id: str
    dataset_id: str
    recipe: Json
    seed: int
    state: str
    checkpoint: Json | None
    train_s: float | None
    error: Json | None
    created_at: datetime
    ready_at: datetime | None


class CurvePointOut(View):
    """One point of a learning curve, scored on the search split."""

    subnet: str
    step: int
    accuracy_top1: float
    loss: float


class CurvesOut(View):
    """Learning curves of a supernet's largest, smallest and random subnets."""

    supernet_id: str
    state: str
    progress: Json | None
    points: list[CurvePointOut]


class DatasetOut(View):
    """A registered data set; ``manifest`` has classes, splits, normalisation and the report on duplicates."""

    id: str
    name: str
    fingerprint: str
    manifest: Json
    created_at: datetime


class DeviceOut(View):
    """Hardware that can measure latency."""

    id: str
    name: str
    kind: str
    runtimes: list[str]
    fingerprint: Json
    created_at: datetime
    last_measured_at: datetime | None


class ExportOut(View):
    """Files of one network; they can be downloaded once the state is ready."""

    id: str
    search_id: str
    trial_id: str
    state: str
    files: list[Json] | None
    parity: Json | None
    error: Json | None
    created_at: datetime
    ready_at: datetime | None


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


class SessionOut(View):
    """Who is signed in, and what they may do."""

    id: str
    name: str
    scopes: list[str]


class KeyOut(View):
    """A key as it is listed; its secret is not stored."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyOut(View):
    """A new key; ``key`` is shown here once and never again."""

    id: str
    key: str


class MethodOut(View):
    """A method that a request may name, with the JSON Schema of its parameters."""

    name: str
    help: str
    parameters: Json


class MethodsOut(View):
    """Everything a search request may name."""

    strategies: list[MethodOut]
    supernet_recipes: list[MethodOut]
    network_recipes: list[MethodOut]
    runtimes: list[Json]
    metrics: list[Json]
    space_language: Json


class MetaOut(View):
    """The service and its version."""

    name: str
    version: str


class HealthOut(View):
    """Named checks, each ``ok``."""

    status: str
    checks: dict[str, str] = {}


SearchOut.model_rebuild()
