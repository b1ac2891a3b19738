"""Answers about what searches use and make: spaces, supernets, data sets, devices, exports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import field_validator

from nas_service.api.views import Json, View, WarningOut


class SpaceOut(View):
    """A search space; ``cardinality`` is an exact integer as text, since it may exceed every number type."""

    id: str
    name: str
    task: str
    num_genes: int
    cardinality: str
    created_at: datetime

    @field_validator("cardinality", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str:
        return str(value)


class GeneOut(View):
    """A choice; ``conditional`` ones exist only under some options of others."""

    name: str
    options: list[str | int | float | bool]
    ordered: bool
    conditional: bool


class SpaceDetailOut(SpaceOut):
    """A search space with its document, its choices, and its structure as nested nodes for drawing."""

    document: Json
    genes: list[GeneOut]
    nodes: list[Json]


class ExpensiveBlockOut(View):
    """The block of the largest network with most multiply-accumulates, and their share."""

    key: str
    block: str
    macs: int
    share: float


class SpaceProfileOut(View):
    """Size and costs of a space; minimum and maximum are over the smallest, the largest and sampled architectures."""

    id: str
    name: str
    num_genes: int
    cardinality: str
    log10_cardinality: float
    costs: dict[str, dict[str, float]]
    num_sampled: int
    most_expensive_block: ExpensiveBlockOut


class SpaceNoteOut(View):
    """Something in a document that compiles but has no effect."""

    pointer: str
    rule: str
    message: str
    suggestion: str


class SpaceCheckOut(SpaceProfileOut):
    """Profile, choices, structure and notes of a document that was not stored."""

    genes: list[GeneOut]
    nodes: list[Json]
    notes: list[SpaceNoteOut]


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
    warnings: list[WarningOut]
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


class SampleOut(View):
    """One sample: its class where there are classes, a text as decoded, a row's numbers in the manifest's order."""

    label: str | None
    text: str | None
    values: list[float] | None


class DeviceOut(View):
    """Hardware that can measure latency. ``away_since`` is when an attached device was last there, null while it is."""

    id: str
    name: str
    kind: str
    runtimes: list[str]
    fingerprint: Json
    created_at: datetime
    last_measured_at: datetime | None
    away_since: datetime | None


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
