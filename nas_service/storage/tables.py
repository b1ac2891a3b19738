"""All tables of the service, with their constraints. Rows never leave `nas_service.storage`.

Two habits hold everywhere. A state column has a CHECK with exactly the states of `nas_service.domain.states`.
Whatever a worker reports is written with the epoch of the claim it worked under, in the transaction that
compares this epoch with the row's: a superseded writer changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    case,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, column_property, mapped_column

from nas_service.domain import states
from nas_service.storage.base import Base, created_at, one_of

# An attached device that no dispatcher has seen for so long is away; they look every few seconds.
AWAY_AFTER = timedelta(seconds=30)


class SearchSpaceRow(Base):
    """An immutable, content-addressed space document."""

    __tablename__ = "search_space"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    document: Mapped[dict[str, Any]]
    num_genes: Mapped[int] = mapped_column(Integer)
    cardinality: Mapped[int] = mapped_column(Numeric(asdecimal=True))
    created_at: Mapped[datetime] = created_at()
    created_by: Mapped[str | None]


class DatasetRow(Base):
    """A registered data set; its arrays lie in the artifact store under their fingerprint."""

    __tablename__ = "dataset"
    __table_args__ = (UniqueConstraint("name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    fingerprint: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_at()


class TableRow(Base):
    """A sealed table of evaluated architectures; its values lie in the artifact store under the id, their hash."""

    __tablename__ = "lookup_table"
    __table_args__ = (UniqueConstraint("name"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    space_id: Mapped[str] = mapped_column(ForeignKey("search_space.id"))
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_at()
    created_by: Mapped[str | None]


class TableUploadRow(Base):
    """A table of which rows are still coming in."""

    __tablename__ = "table_upload"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    definition: Mapped[dict[str, Any]]
    num_rows: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = created_at()
    created_by: Mapped[str | None]


class TablePieceRow(Base):
    """Some rows of a table that is being sent: compressed JSON, from row number ``first_row`` on."""

    __tablename__ = "table_piece"
    upload_id: Mapped[str] = mapped_column(ForeignKey("table_upload.id", ondelete="CASCADE"), primary_key=True)
    first_row: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class DeviceRow(Base):
    """Hardware that can measure latency. ``local`` devices are measured by a worker on this cluster."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("name"), one_of("kind", ("local",)))
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    runtimes: Mapped[list[Any]]
    fingerprint: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_at()
    last_measured_at: Mapped[datetime | None]
    # when a dispatcher last found it attached to the cluster; none for this machine's own processors
    seen_at: Mapped[datetime | None] = mapped_column()
    away_since: Mapped[datetime | None] = column_property(case((seen_at < func.now() - AWAY_AFTER, seen_at)))


class SupernetRow(Base):
    """Shared weights over a space, trained on a data set with a recipe; equal definitions are one row."""

    __tablename__ = "supernet"
    __table_args__ = (UniqueConstraint("definition_key"), one_of("state", states.SUPERNET_STATES))
    id: Mapped[str] = mapped_column(primary_key=True)
    definition_key: Mapped[str]
    space_id: Mapped[str] = mapped_column(ForeignKey("search_space.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id"))
    recipe: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    checkpoint: Mapped[dict[str, Any] | None]
    train_s: Mapped[float | None]
    # Of ``{code, message, suggestion}``: what came of the training, when that is not what anybody wants.
    warnings: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = created_at()
    ready_at: Mapped[datetime | None]


class SupernetCurvePointRow(Base):
    """One point of a learning curve of a supernet; a repeated step after a resume replaces the older epoch's."""

    __tablename__ = "supernet_curve_point"
    supernet_id: Mapped[str] = mapped_column(ForeignKey("supernet.id", ondelete="CASCADE"), primary_key=True)
    subnet: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer)
    accuracy_top1: Mapped[float]
    loss: Mapped[float]


class LatencyEstimatorRow(Base):
    """A fitted latency estimator of one space on one device under one measurement target."""

    __tablename__ = "latency_estimator"
    __table_args__ = (
        UniqueConstraint("definition_key"),
        one_of("state", ("queued", "ready", "failed")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    definition_key: Mapped[str]
    space_id: Mapped[str] = mapped_column(ForeignKey("search_space.id"))
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    target: Mapped[dict[str, Any]]
    state: Mapped[str]
    document: Mapped[dict[str, Any] | None]
    held_out: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = created_at()


class SearchRow(Base):
    """One search: its specification, where it stands, and the strategy's state as of the last told trial."""

    __tablename__ = "search"
    __table_args__ = (
        one_of("state", states.SEARCH_STATES),
        one_of("phase", states.SEARCH_PHASES),
        CheckConstraint("num_told <= num_asked", name="told_le_asked"),
        Index("ix_search_active", "id", postgresql_where=text("state IN ('queued','running','pausing')")),
        Index("ix_search_created", "created_at", "id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    state: Mapped[str]
    phase: Mapped[str]
    spec: Mapped[dict[str, Any]]
    space_id: Mapped[str] = mapped_column(ForeignKey("search_space.id"))
    # Either a data set (with a supernet) or a table.
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("dataset.id"))
    supernet_id: Mapped[str | None] = mapped_column(ForeignKey("supernet.id"))
    estimator_id: Mapped[str | None] = mapped_column(ForeignKey("latency_estimator.id"))
    table_id: Mapped[str | None] = mapped_column(ForeignKey("lookup_table.id"))
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    strategy_state: Mapped[dict[str, Any] | None]
    num_asked: Mapped[int] = mapped_column(Integer, server_default="0")
    num_told: Mapped[int] = mapped_column(Integer, server_default="0")
    num_rejected: Mapped[int] = mapped_column(BigInteger, server_default="0")
    exhausted: Mapped[bool] = mapped_column(Boolean, server_default="false")
    # Fixed when the search phase starts; hypervolumes of one search are comparable with each other.
    reference_point: Mapped[list[Any] | None]
    # Of the best front there is, from the same reference; known where a table holds every architecture.
    true_hypervolume: Mapped[float | None]
    hypervolume: Mapped[float | None]
    front_size: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = created_at()
    created_by: Mapped[str | None]
    trace_id: Mapped[str | None]
    started_at: Mapped[datetime | None]
    search_started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TrialRow(Base):
    """One evaluation of one architecture in a search at one stage and replicate."""

    __tablename__ = "trial"
    __table_args__ = (
        UniqueConstraint("search_id", "stage", "number"),
        UniqueConstraint("search_id", "evaluation_key"),
        one_of("state", states.TRIAL_STATES),
        one_of("stage", states.TRIAL_STAGES),
        CheckConstraint(
            "state <> 'succeeded' OR (accuracy_top1 BETWEEN 0 AND 1 AND loss >= 0)", name="succeeded_has_metrics"
        ),
        CheckConstraint("(state IN ('pending','running')) = (finished_at IS NULL)", name="finished_iff_terminal"),
        Index("ix_trial_evaluation_key", "evaluation_key", postgresql_where=text("state = 'succeeded'")),
        Index("ix_trial_architecture", "architecture_hash"),
        Index("ix_trial_open", "search_id", postgresql_where=text("state IN ('pending','running')")),
        Index("ix_trial_number", "search_id", "number", "id"),
        Index("ix_trial_joined_front", "search_id", "number", postgresql_where=text("joined_front")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    search_id: Mapped[str] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    stage: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    replicate: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    fidelity: Mapped[float] = mapped_column(server_default="1")
    # Told, and dominated by nothing told before: every front of the search, at any time, is among these.
    joined_front: Mapped[bool] = mapped_column(Boolean, server_default="false")
    architecture_hash: Mapped[str]
    genes: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    state: Mapped[str]
    evaluation_key: Mapped[str]
    token: Mapped[dict[str, Any]]
    job_id: Mapped[str | None]
    reused_from: Mapped[str | None]
    accuracy_top1: Mapped[float | None]
    loss: Mapped[float | None]
    macs: Mapped[int | None] = mapped_column(BigInteger)
    params: Mapped[int | None] = mapped_column(BigInteger)
    # stage "search": predicted by the estimator; stage "final": measured (median), with p10 and p90
    latency_ms: Mapped[float | None]
    latency_p10_ms: Mapped[float | None]
    latency_p90_ms: Mapped[float | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    error: Mapped[dict[str, Any] | None]
    eval_s: Mapped[float | None]
    created_at: Mapped[datetime] = created_at()
    finished_at: Mapped[datetime | None]


class MeasurementRow(Base):
    """A measured value with its protocol, device and spread."""

    __tablename__ = "measurement"
    __table_args__ = (
        Index("ix_measurement_architecture", "architecture_hash", "device_id"),
        Index("ix_measurement_search", "search_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    search_id: Mapped[str | None] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    trial_id: Mapped[str | None] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"))
    architecture_hash: Mapped[str]
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    metric: Mapped[str]
    value: Mapped[float]
    p10: Mapped[float | None]
    p90: Mapped[float | None]
    num_samples: Mapped[int] = mapped_column(Integer)
    protocol: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_at()


class FrontPointRow(Base):
    """Hypervolume and size of the search-stage front after a number of told trials."""

    __tablename__ = "front_point"
    search_id: Mapped[str] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"), primary_key=True)
    num_evaluations: Mapped[int] = mapped_column(Integer, primary_key=True)
    hypervolume: Mapped[float]
    front_size: Mapped[int] = mapped_column(Integer)


class JobRow(Base):
    """An internal unit of work: claimed with SKIP LOCKED, held by a lease, fenced by its epoch."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        one_of("kind", states.JOB_KINDS),
        one_of("state", states.JOB_STATES),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease_iff_running"),
        Index("ix_job_claimable", "priority", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_job_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_job_search", "search_id"),
        Index("ix_job_subject", "subject_id"),
        {"postgresql_with": {"fillfactor": "70"}},
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    dedup_key: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    search_id: Mapped[str | None] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    supernet_id: Mapped[str | None] = mapped_column(ForeignKey("supernet.id", ondelete="CASCADE"))
    subject_id: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    # of the attached device that alone can do it, as the cluster names it; none: any slot
    resource: Mapped[str | None]
    # smaller runs first
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="100")
    exclusive: Mapped[bool] = mapped_column(Boolean, server_default="false")
    # of the request from which the job followed
    trace_id: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    max_attempts: Mapped[int] = mapped_column(SmallInteger, server_default="3")
    epoch: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = created_at()
    finished_at: Mapped[datetime | None]


class AttemptRow(Base):
    """One execution of a job; it may be lost, the job never is."""

    __tablename__ = "attempt"
    __table_args__ = (one_of("outcome", states.ATTEMPT_OUTCOMES),)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    owner: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    started_at: Mapped[datetime] = created_at()
    finished_at: Mapped[datetime | None]


class EventRow(Base):
    """Append-only log. ``seq`` is given in commit order, under one lock (storage.events): a cursor skips nothing."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_search", "search_id", "seq"),)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    search_id: Mapped[str | None] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_at()


class ExportRow(Base):
    """Files of one subnet, made on request; the directory carries the epoch that wrote it."""

    __tablename__ = "export"
    __table_args__ = (
        UniqueConstraint("trial_id"),
        one_of("state", states.EXPORT_STATES),
        Index("ix_export_search", "search_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    search_id: Mapped[str] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    trial_id: Mapped[str] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"))
    state: Mapped[str]
    path: Mapped[str | None]
    files: Mapped[list[Any] | None]
    parity: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = created_at()
    ready_at: Mapped[datetime | None]


class ApiKeyRow(Base):
    """An API key; only the SHA-256 of its secret is stored."""

    __tablename__ = "api_key"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = created_at()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class BrowserSessionRow(Base):
    """A signed-in browser; the cookie holds the token, the table its SHA-256."""

    __tablename__ = "browser_session"
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_key.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = created_at()
    expires_at: Mapped[datetime]


class IdempotencyRow(Base):
    """The answer that was given to a creating request, stored in the transaction that created."""

    __tablename__ = "idempotency"
    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[dict[str, Any]]
    location: Mapped[str | None]
    created_at: Mapped[datetime] = created_at()


class AuditRow(Base):
    """Who changed what, from where."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    principal: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    remote: Mapped[str | None]
    created_at: Mapped[datetime] = created_at()


class InstallationRow(Base):
    """Facts of this installation: exactly one row (artifact-store marker, epoch floor after a restore)."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    artifact_marker: Mapped[str]
    cursor_secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = created_at()
