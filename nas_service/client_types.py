"""What the service answers, as the Python client returns it: plain dictionaries with the keys of the OpenAPI document.

Times are ISO 8601 texts in UTC; units are in the names. A test compares the keys with the document.
"""

from __future__ import annotations

from typing import Any, TypedDict

Json = dict[str, Any]


class Progress(TypedDict):
    """Progress of the current phase; ``fraction`` 0 to 1 and ``eta_s`` are None while unknown."""

    phase: str
    phase_number: int
    num_phases: int
    fraction: float | None
    eta_s: float | None
    detail: Json | None
    message: str | None


class Search(TypedDict):
    """A search. ``progress`` and ``trial_counts`` are there in the answer about one search."""

    id: str
    name: str
    state: str
    phase: str
    spec: Json
    space_id: str
    dataset_id: str | None
    supernet_id: str | None
    table_id: str | None
    estimator_id: str | None
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
    created_at: str
    created_by: str | None
    started_at: str | None
    finished_at: str | None
    progress: Progress | None
    trial_counts: dict[str, dict[str, int]] | None
    latency_estimator: Json | None


class Table(TypedDict):
    """A table of evaluated architectures, named by its content."""

    id: str
    name: str
    space_id: str
    manifest: Json
    created_at: str
    created_by: str | None


class Plan(TypedDict):
    """What a search would do."""

    space: Json
    costs: dict[str, Json]
    constraints: Json
    num_trials: int
    supernet_is_ready: bool | None
    jobs: dict[str, int]
    time: dict[str, float | None]
    disk_bytes: int


class Trial(TypedDict):
    """One evaluation; ``latency_ms`` is predicted at stage search, measured at stage final."""

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
    created_at: str
    finished_at: str | None


class TrialDetail(Trial):
    """A trial with the choices of its architecture."""

    choices: Json


class FrontPoint(TypedDict):
    """Hypervolume and size of the search front after a number of evaluations."""

    num_evaluations: int
    hypervolume: float
    normalised_hypervolume: float | None
    regret: float | None
    front_size: int


class Front(TypedDict):
    """Non-dominated trials with the volume each adds."""

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
    members: list[Trial]
    contributions: list[float]
    dominated: list[Trial]
    history: list[FrontPoint]


class Measurement(TypedDict):
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
    created_at: str


class Architecture(TypedDict):
    """An architecture: choices, exact costs, blocks, and the trials that evaluated it."""

    hash: str
    space_id: str
    choices: Json
    costs: dict[str, int]
    nodes: list[Json]
    trials: list[Trial]


class Event(TypedDict):
    """Something that happened; ``seq`` grows in the order of commits."""

    seq: int
    type: str
    search_id: str | None
    data: Json
    created_at: str


class Space(TypedDict):
    """A stored search space; ``cardinality`` is an exact integer as text."""

    id: str
    name: str
    num_genes: int
    cardinality: str
    created_at: str


class CostedArchitecture(TypedDict):
    """An architecture by its choices, with its exact costs."""

    hash: str
    choices: Json
    costs: dict[str, int]


class Supernet(TypedDict):
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
    created_at: str
    ready_at: str | None


class Dataset(TypedDict):
    """A registered data set."""

    id: str
    name: str
    fingerprint: str
    manifest: Json
    created_at: str


class Device(TypedDict):
    """Hardware that can measure latency."""

    id: str
    name: str
    kind: str
    runtimes: list[str]
    fingerprint: Json
    created_at: str
    last_measured_at: str | None


class Export(TypedDict):
    """Files of one network; they can be downloaded once the state is ready."""

    id: str
    search_id: str
    trial_id: str
    state: str
    files: list[Json] | None
    parity: Json | None
    error: Json | None
    created_at: str
    ready_at: str | None


class Key(TypedDict):
    """A key as it is listed."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKey(TypedDict):
    """A new key; ``key`` is shown once."""

    id: str
    key: str
