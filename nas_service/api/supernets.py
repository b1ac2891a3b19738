"""Supernets with their learning curves."""

from __future__ import annotations

from fastapi import APIRouter

from nas_service.api.asset_views import CurvePointOut, CurvesOut, SupernetOut
from nas_service.api.deps import PagingDep, ServiceDep, page_by_id
from nas_service.api.schemas import SupernetId
from nas_service.api.views import Page
from nas_service.control.queries import supernet_detail
from nas_service.storage import supernets

router = APIRouter(prefix="/v1", tags=["supernets"])


@router.get("/supernets", response_model=Page[SupernetOut])
def list_all(service: ServiceDep, paging: PagingDep) -> Page[SupernetOut]:
    """Supernets, newest first."""
    return page_by_id(service, paging, SupernetOut, supernets.page)


@router.get("/supernets/{supernet_id}", response_model=SupernetOut)
def get(supernet_id: SupernetId, service: ServiceDep) -> SupernetOut:
    """A supernet."""
    with service.reading() as session:
        return SupernetOut.model_validate(supernets.get(session, supernet_id))


@router.get("/supernets/{supernet_id}/curves", response_model=CurvesOut)
def curves(supernet_id: SupernetId, service: ServiceDep) -> CurvesOut:
    """Learning curves of the largest, the smallest and random subnets."""
    with service.reading() as session:
        found = supernet_detail(session, supernet_id)
    return CurvesOut(
        supernet_id=supernet_id,
        state=found.supernet.state,
        progress=found.job.progress if found.job else None,
        points=[CurvePointOut.model_validate(point) for point in found.curve],
    )
