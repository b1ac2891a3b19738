"""What the service answers, as the Python client returns it: dictionaries as in the OpenAPI document.

Times are ISO 8601 texts in UTC; units are in the names. Made by `python -m nas_service.api.openapi`: do not edit.
"""

from __future__ import annotations

from typing import Any, TypedDict

Json = dict[str, Any]


class Architecture(TypedDict):
    """An architecture: its choices, exact costs, blocks, and the trials that evaluated it."""

    hash: str
    space_id: str
    choices: Json
    costs: dict[str, int]
    nodes: list[Node]
    trials: list[Trial]


class CostedArchitecture(TypedDict):
    """An architecture by its choices, with its exact costs."""

    hash: str
    choices: Json
    costs: dict[str, int]


class Dataset(TypedDict):
    """A registered data set; ``manifest`` has classes, splits, normalisation and the report on duplicates."""

    id: str
    name: str
    fingerprint: str
    manifest: Json
    created_at: str


class Device(TypedDict):
    """Hardware that can measure latency. ``away_since`` is when an attached device was last there, null while it is."""

    id: str
    name: str
    kind: str
    runtimes: list[str]
    fingerprint: Json
    created_at: str
    last_measured_at: str | None
    away_since: str | None


class DeviceWait(TypedDict):
    """A device that is not attached to the cluster now; a search that measures on it waits."""

    device: str
    away_since: str


class Estimator(TypedDict):
    """The fitted latency estimator that stands in during a search, with its held-out error."""

    id: str
    device_id: str
    target: Json
    state: str
    held_out: Json | None
    error: Json | None


class Event(TypedDict):
    """Something that happened; ``seq`` grows in the order of commits."""

    seq: int
    type: str
    search_id: str | None
    data: Json
    created_at: str


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


class Front(TypedDict):
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
    members: list[Trial]
    contributions: list[float]
    dominated: list[Trial]
    history: list[FrontPoint]


class FrontPoint(TypedDict):
    """Hypervolume and size of the search front after a number of evaluations."""

    num_evaluations: int
    hypervolume: float
    normalised_hypervolume: float | None
    regret: float | None
    front_size: int


class Key(TypedDict):
    """A key as it is listed; its secret is not stored."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


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


class NewKey(TypedDict):
    """A new key; ``key`` is shown here once and never again."""

    id: str
    key: str


class Node(TypedDict):
    """One block of a network and what it costs for one example."""

    key: str
    block: str
    params: Json
    inputs: list[int]
    out_shape: Json
    macs: int
    params_count: int


class Plan(TypedDict):
    """What a search would do; nothing was started. Times are null where nothing similar has run before."""

    space: Json
    costs: dict[str, Json]
    constraints: Json
    num_trials: int
    supernet_is_ready: bool | None
    jobs: dict[str, int]
    time: dict[str, float | None]
    disk_bytes: int


class Progress(TypedDict):
    """Progress of the current phase; ``fraction`` 0 to 1 and ``eta_s`` are null while unknown."""

    phase: str
    phase_number: int
    num_phases: int
    fraction: float | None
    eta_s: float | None
    detail: Json | None
    waiting_for: DeviceWait | None
    message: str | None


class Search(TypedDict):
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
    spec: Spec
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
    warnings: list[Warning]
    created_at: str
    created_by: str | None
    started_at: str | None
    finished_at: str | None
    progress: Progress | None
    trial_counts: dict[str, dict[str, int]] | None
    full_evaluations: float | None
    latency_estimator: Estimator | None


class Space(TypedDict):
    """A search space; ``cardinality`` is an exact integer as text, since it may exceed every number type."""

    id: str
    name: str
    task: str
    num_genes: int
    cardinality: str
    created_at: str


class SpecBound(TypedDict):
    """A hard bound, inclusive."""

    minimum: float | None
    maximum: float | None


class SpecBudget(TypedDict):
    """When the search phase ends."""

    trials: int
    wall_s: float | None


class SpecEvaluator(TypedDict):
    """How a trial gets its metrics."""

    kind: str
    recipe: SpecMethod | None
    supernet_id: str | None
    table_id: str | None


class SpecFinalists(TypedDict):
    """How finalists are scored."""

    count: int
    mode: str
    seeds: int
    recipe: SpecMethod | None


class SpecMethod(TypedDict):
    """A method by name with every parameter."""

    name: str
    params: Json


class SpecObjective(TypedDict):
    """One axis of the front or a bound alone; ``target`` says where and how latency is measured."""

    metric: str
    goal: str
    constraint: SpecBound | None
    target: Json | None
    optimize: bool


class Spec(TypedDict):
    """Everything that decides a search, complete with defaults."""

    name: str
    objectives: list[SpecObjective]
    evaluator: SpecEvaluator
    strategy: SpecMethod
    budget: SpecBudget
    finalists: SpecFinalists
    parallelism: int
    seed: int


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
    warnings: list[Warning]
    error: Json | None
    created_at: str
    ready_at: str | None


class Table(TypedDict):
    """A sealed table; its id is the hash of its content. ``manifest`` has choices, metrics with ranges, fidelities."""

    id: str
    name: str
    space_id: str
    manifest: Json
    created_at: str
    created_by: str | None


class TrialDetail(TypedDict):
    """A trial with the choices of its architecture."""

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
    choices: Json


class Trial(TypedDict):
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
    created_at: str
    finished_at: str | None


class Warning(TypedDict):
    """Something that went wrong without ending anything: which kind, what, and what to change."""

    code: str
    message: str
    suggestion: str
