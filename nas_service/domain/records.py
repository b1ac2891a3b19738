"""What the store returns: frozen domain objects of everything with a row. Field names equal column names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Two sums of the same volumes in another order differ by less than this share.
ROUNDING = 1e-12


@dataclass(frozen=True)
class SpaceRecord:
    """An immutable search-space document. ``cardinality`` is exact."""

    id: str
    name: str
    document: dict[str, Any]
    num_genes: int
    cardinality: int
    created_at: datetime
    created_by: str | None

    @property
    def task(self) -> str:
        """What its networks are for, and so which data they read: ``image_classification``, ``causal_lm`` ..."""
        return str(self.document["task"]["kind"])


@dataclass(frozen=True)
class DatasetRecord:
    """A registered data set; ``manifest`` is the content of its ``dataset.json``."""

    id: str
    name: str
    fingerprint: str
    manifest: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class TableRecord:
    """A sealed table of evaluated architectures; ``manifest`` is what ``Table.manifest`` says of its content."""

    id: str
    name: str
    space_id: str
    manifest: dict[str, Any]
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True)
class TableUploadRecord:
    """A table that is being sent: ``definition`` is the request that began it, rows follow in pieces."""

    id: str
    name: str
    definition: dict[str, Any]
    num_rows: int
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True)
class DeviceRecord:
    """Hardware that can measure latency. ``away_since`` is when an attached device was last there, None while it is."""

    id: str
    name: str
    kind: str
    runtimes: list[str]
    fingerprint: dict[str, Any]
    created_at: datetime
    last_measured_at: datetime | None
    away_since: datetime | None


@dataclass(frozen=True)
class DeviceWait:
    """A search can only go on when an attached device comes back; it has waited for ``waited_s``."""

    search_id: str
    device: str
    away_since: datetime
    waited_s: float


@dataclass(frozen=True)
class SupernetRecord:
    """Shared weights; ``recipe`` is ``{name, **params}``, ``checkpoint`` ``{path, step, sha256}`` once ready.

    ``warnings`` are of ``{code, message, suggestion}``.
    """

    id: str
    definition_key: str
    space_id: str
    dataset_id: str
    recipe: dict[str, Any]
    seed: int
    state: str
    checkpoint: dict[str, Any] | None
    train_s: float | None
    warnings: list[dict[str, str]]
    error: dict[str, Any] | None
    created_at: datetime
    ready_at: datetime | None


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve of a supernet, scored on the search split."""

    subnet: str
    step: int
    epoch: int
    accuracy_top1: float
    loss: float


@dataclass(frozen=True)
class EstimatorRecord:
    """A latency estimator of one space on one device; ``document`` is the fitted estimator once ready."""

    id: str
    definition_key: str
    space_id: str
    device_id: str
    target: dict[str, Any]
    state: str
    document: dict[str, Any] | None
    held_out: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True)
class SearchRecord:
    """One search: specification (JSON of ``SearchSpec``), state, and how far its strategy has come."""

    id: str
    name: str
    state: str
    phase: str
    spec: dict[str, Any]
    space_id: str
    dataset_id: str | None
    supernet_id: str | None
    estimator_id: str | None
    table_id: str | None
    version: int
    strategy_state: dict[str, Any] | None
    num_asked: int
    num_told: int
    num_rejected: int
    exhausted: bool
    reference_point: list[float] | None
    true_hypervolume: float | None
    hypervolume: float | None
    front_size: int | None
    error: dict[str, Any] | None
    created_at: datetime
    created_by: str | None
    trace_id: str | None
    started_at: datetime | None
    search_started_at: datetime | None
    finished_at: datetime | None

    @property
    def normalised_hypervolume(self) -> float | None:
        """Hypervolume as a share of the true front's; None where that is unknown."""
        return self.normalised(self.hypervolume)

    @property
    def regret(self) -> float | None:
        """What the front lacks; see ``regret_of``."""
        return self.regret_of(self.hypervolume)

    def normalised(self, hypervolume: float | None) -> float | None:
        """A hypervolume of this search as a share of the true front's; None where that is unknown."""
        if hypervolume is None or not self.true_hypervolume:
            return None
        return hypervolume / self.true_hypervolume

    def regret_of(self, hypervolume: float | None) -> float | None:
        """What is missing to the true front: with one axis in the unit of its metric, else one minus the share."""
        share = self.normalised(hypervolume)
        if share is None or hypervolume is None or self.true_hypervolume is None:
            return None
        if abs(1.0 - share) < ROUNDING:
            return 0.0
        num_axes = sum(objective["optimize"] for objective in self.spec["objectives"])
        return self.true_hypervolume - hypervolume if num_axes == 1 else 1.0 - share


@dataclass(frozen=True)
class TrialRecord:
    """One evaluation of one architecture. ``latency_ms`` is predicted at stage search, measured at stage final.

    ``metrics`` holds what has no column: ``activations``, ``peak_activation_bytes``, ``num_correct``,
    ``num_samples``, ``test`` (scores on the test split), ``checkpoint`` and ``seeds`` of weights trained alone, and
    all metrics of a table. ``joined_front``: it was told, and nothing told before dominated it.
    """

    id: str
    search_id: str
    stage: str
    number: int
    replicate: int
    fidelity: float
    joined_front: bool
    architecture_hash: str
    genes: list[int]
    state: str
    evaluation_key: str
    token: dict[str, Any]
    job_id: str | None
    reused_from: str | None
    accuracy_top1: float | None
    loss: float | None
    macs: int | None
    params: int | None
    latency_ms: float | None
    latency_p10_ms: float | None
    latency_p90_ms: float | None
    metrics: dict[str, Any]
    error: dict[str, Any] | None
    eval_s: float | None
    created_at: datetime
    finished_at: datetime | None

    def value(self, metric: str) -> float | int | None:
        """The value of a metric of the registry, from its column or from ``metrics``."""
        if metric in ("accuracy_top1", "loss", "macs", "params", "latency_ms"):
            number: float | int | None = getattr(self, metric)
            if number is not None:
                return number
        return self.metrics.get(metric)


@dataclass(frozen=True)
class MeasurementRecord:
    """A measured value with its device, protocol and spread."""

    id: str
    search_id: str | None
    trial_id: str | None
    architecture_hash: str
    device_id: str
    metric: str
    value: float
    p10: float | None
    p90: float | None
    num_samples: int
    protocol: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class FrontPoint:
    """Hypervolume and size of the search-stage front after ``num_evaluations`` told trials."""

    num_evaluations: int
    hypervolume: float
    front_size: int


@dataclass(frozen=True)
class JobRecord:
    """An internal unit of work, as the controller reads it."""

    id: str
    kind: str
    dedup_key: str
    state: str
    search_id: str | None
    supernet_id: str | None
    subject_id: str | None
    payload: dict[str, Any]
    result: dict[str, Any] | None
    progress: dict[str, Any] | None
    error: dict[str, Any] | None
    attempt: int
    epoch: int
    exclusive: bool
    lease_until: datetime | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class ExportRecord:
    """Files of one subnet. ``path`` is relative to the artifact store, ``files`` list name, size and sha256."""

    id: str
    search_id: str
    trial_id: str
    state: str
    path: str | None
    files: list[dict[str, Any]] | None
    parity: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    ready_at: datetime | None
