"""Devices that can measure latency."""

from __future__ import annotations

from fastapi import APIRouter

from nas_service.api.asset_views import DeviceOut
from nas_service.api.deps import PagingDep, ServiceDep, page_by_id
from nas_service.api.schemas import DeviceId
from nas_service.api.views import Page
from nas_service.storage import devices

router = APIRouter(prefix="/v1", tags=["devices"])


@router.get("/devices", response_model=Page[DeviceOut])
def list_all(service: ServiceDep, paging: PagingDep) -> Page[DeviceOut]:
    """Devices, newest first."""
    return page_by_id(service, paging, DeviceOut, devices.page)


@router.get("/devices/{device_id}", response_model=DeviceOut)
def get(device_id: DeviceId, service: ServiceDep) -> DeviceOut:
    """A device."""
    with service.reading() as session:
        return DeviceOut.model_validate(devices.get(session, device_id))
