"""Registered data sets and a look into them. Adding one is the operator's command, never a request."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from nas_service.api.asset_views import DatasetOut, SampleOut
from nas_service.api.deps import PagingDep, ServiceDep, page_by_id
from nas_service.api.schemas import DatasetId
from nas_service.api.views import Page
from nas_service.datasets.dataset import Dataset
from nas_service.datasets.preview import MAX_PREVIEW, preview, samples
from nas_service.datasets.store import DATASETS_FOLDER, DatasetStore
from nas_service.storage import datasets

router = APIRouter(prefix="/v1", tags=["datasets"])

Split = Annotated[Literal["train", "calibrate", "search", "select", "test"], Query()]
Count = Annotated[int, Query(ge=1, le=MAX_PREVIEW)]


@router.get("/datasets", response_model=Page[DatasetOut])
def list_all(service: ServiceDep, paging: PagingDep) -> Page[DatasetOut]:
    """Data sets, newest first."""
    return page_by_id(service, paging, DatasetOut, datasets.page)


@router.get("/datasets/{dataset_id}", response_model=DatasetOut)
def get(dataset_id: DatasetId, service: ServiceDep) -> DatasetOut:
    """A data set with its manifest."""
    with service.reading() as session:
        return DatasetOut.model_validate(datasets.get(session, dataset_id))


@router.get(
    "/datasets/{dataset_id}/preview",
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_preview(
    dataset_id: DatasetId,
    service: ServiceDep,
    split: Split = "train",
    count: Count = 64,
) -> Response:
    """Samples of one split as a PNG, classes in turn."""
    return Response(preview(_stored(service, dataset_id), count, split), media_type="image/png")


@router.get("/datasets/{dataset_id}/samples", response_model=Page[SampleOut])
def get_samples(
    dataset_id: DatasetId, service: ServiceDep, split: Split = "train", count: Count = 64
) -> Page[SampleOut]:
    """The first samples of one split, classes in turn: texts as decoded, rows as numbers; images are in the preview."""
    found = samples(_stored(service, dataset_id), count, split)
    return Page[SampleOut](items=[SampleOut.model_validate(item) for item in found])


def _stored(service: ServiceDep, dataset_id: str) -> Dataset:
    with service.reading() as session:
        record = datasets.get(session, dataset_id)
    return DatasetStore(service.settings.artifacts / DATASETS_FOLDER).load(record.fingerprint)
