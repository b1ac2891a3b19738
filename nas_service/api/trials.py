"""Trials, fronts, measurements and architectures: what a search has found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response

from nas_service.api.conditional import IMMUTABLE
from nas_service.api.deps import PagingDep, ServiceDep, page_of_search
from nas_service.api.schemas import ArchitectureHash, Label, SearchId, TrialId
from nas_service.api.search_views import (
    ArchitectureOut,
    FrontOut,
    FrontPointOut,
    MeasurementOut,
    NodeOut,
    TrialDetailOut,
    TrialOut,
)
from nas_service.api.views import Page
from nas_service.control.device_latency import front_on_device
from nas_service.control.fronts import read_front
from nas_service.control.queries import architecture_detail, metric_names
from nas_service.control.spaces import compiled_space
from nas_service.domain.search import SearchSpec
from nas_service.errors import InvalidInput
from nas_service.storage import fronts, searches, trials
from search_spaces.blocks.registry import BLOCKS
from search_spaces.network import Network
from search_spaces.shapes import shape_to_json

router = APIRouter(prefix="/v1", tags=["trials"])

Stage = Literal["search", "final"]
TrialState = Literal["pending", "running", "succeeded", "infeasible", "failed", "quarantined", "cancelled"]


@router.get("/searches/{search_id}/trials", response_model=Page[TrialOut])
def list_of_search(
    search_id: SearchId,
    service: ServiceDep,
    paging: PagingDep,
    stage: Annotated[Stage | None, Query()] = None,
    state: Annotated[TrialState | None, Query()] = None,
    sort: Annotated[
        str,
        Query(
            max_length=200,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="`number`, `created_at` or the name of a metric; a leading minus sorts downwards.",
        ),
    ] = "number",
) -> Page[TrialOut]:
    """Trials of a search."""
    filters = {"list": "trials", "search_id": search_id, "stage": stage, "state": state, "sort": sort}
    after = service.cursors.read(paging.page_token, filters)
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    with service.reading() as session:
        allowed = {"number", "created_at", *metric_names(searches.get(session, search_id))}
        if column not in allowed:
            raise InvalidInput(f"sort: unknown column '{column[:80]}'; allowed: {', '.join(sorted(allowed))}")
        found = trials.page(
            session,
            search_id,
            stage=stage,
            state=state,
            sort=column,
            descending=descending,
            limit=paging.page_size + 1,
            after=None if after is None else (_value(after[0], column), after[1]),
        )
    shown = found[: paging.page_size]
    token = None
    if len(found) > len(shown):
        token = service.cursors.write([_place(shown[-1], column), shown[-1].id], filters)
    return Page[TrialOut](items=[TrialOut.model_validate(trial) for trial in shown], next_page_token=token)


@router.get("/trials/{trial_id}", response_model=TrialDetailOut)
def get(trial_id: TrialId, service: ServiceDep) -> TrialDetailOut:
    """A trial with the choices of its architecture."""
    with service.reading() as session:
        trial = trials.get(session, trial_id)
        space = compiled_space(session, searches.get(session, trial.search_id).space_id)
    choices = dict(space.architecture(np.array(trial.genes, dtype=np.int16)).choices)
    return TrialDetailOut.model_validate({**vars(trial), "choices": choices})


@router.get("/searches/{search_id}/front", response_model=FrontOut)
def front(
    search_id: SearchId,
    response: Response,
    service: ServiceDep,
    stage: Annotated[
        Stage | None,
        Query(
            description="`search`: predicted latency; `final`: measured. Left out: `final` where there are finalists."
        ),
    ] = None,
    at_evaluation: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Stage search only.")] = None,
    device: Annotated[
        Label | None, Query(description="Shows latencies of this device; left out, of the search's own.")
    ] = None,
) -> FrontOut:
    """The front of a search, now or after a number of evaluations, with latencies of one device."""
    with service.reading() as session:
        search = searches.get(session, search_id)
        spec = SearchSpec.from_json(search.spec)
        stage = stage or ("final" if spec.finalists.count else "search")
        if at_evaluation is not None and stage != "search":
            raise InvalidInput("at_evaluation: only the front of stage `search` has a history")
        own = None if spec.latency_target is None else spec.latency_target.device
        elsewhere = device is not None and device != own
        if device is not None and elsewhere:
            found = front_on_device(session, search_id, stage, device, at_evaluation)
        else:
            found = read_front(session, search_id, stage, at_evaluation)
        history = fronts.curve(session, search_id)
    if at_evaluation is not None:
        history = [point for point in history if point.num_evaluations <= at_evaluation]
        if at_evaluation == found.num_evaluations and found.reference_point is not None and not elsewhere:
            response.headers["Cache-Control"] = IMMUTABLE
    if elsewhere and "latency_ms" in found.axes:
        history = []
    shown = device or own
    return FrontOut(
        search_id=found.search_id,
        stage=found.stage,
        axes=list(found.axes),
        num_evaluations=found.num_evaluations,
        reference_point=found.reference_point,
        hypervolume=found.hypervolume,
        normalised_hypervolume=search.normalised(found.hypervolume),
        regret=search.regret_of(found.hypervolume),
        device=shown,
        latency_is=None if shown is None else "measured" if stage == "final" else "predicted",
        members=[TrialOut.model_validate(trial) for trial in found.points],
        contributions=found.contributions,
        dominated=[TrialOut.model_validate(trial) for trial in found.dominated],
        history=[
            FrontPointOut(
                num_evaluations=point.num_evaluations,
                hypervolume=point.hypervolume,
                normalised_hypervolume=search.normalised(point.hypervolume),
                regret=search.regret_of(point.hypervolume),
                front_size=point.front_size,
            )
            for point in history
        ],
    )


@router.get("/searches/{search_id}/measurements", response_model=Page[MeasurementOut])
def measurements(search_id: SearchId, service: ServiceDep, paging: PagingDep) -> Page[MeasurementOut]:
    """What was measured for a search, oldest first."""
    return page_of_search(service, paging, MeasurementOut, trials.measurements, search_id)


@router.get("/architectures/{architecture_hash}", response_model=ArchitectureOut)
def architecture(architecture_hash: ArchitectureHash, service: ServiceDep) -> ArchitectureOut:
    """An architecture that some trial has evaluated: choices, costs, blocks, trials."""
    with service.reading() as session:
        found = architecture_detail(session, architecture_hash)
    return ArchitectureOut(
        hash=found.hash,
        space_id=found.space_id,
        choices=found.choices,
        costs=found.costs,
        nodes=_nodes(found.network),
        trials=[TrialOut.model_validate(trial) for trial in found.trials],
    )


def _nodes(network: Network) -> list[NodeOut]:
    nodes = []
    for node in network.nodes:
        cost = BLOCKS[node.block].cost(node.in_shapes, node.params)
        nodes.append(
            NodeOut(
                key=node.key,
                block=node.block,
                params=dict(node.params),
                inputs=list(node.inputs),
                out_shape=shape_to_json(node.out_shape),
                macs=int(cost.macs),
                params_count=int(cost.params),
            )
        )
    return nodes


def _place(trial: Any, column: str) -> Any:
    """The value a trial is sorted by, as plain JSON; missing values count as 0."""
    value = getattr(trial, column) if column in trials.SORT_COLUMNS else trial.metrics.get(column)
    if column == "created_at":
        return value.isoformat()
    return 0 if value is None else value


def _value(place: Any, column: str) -> Any:
    """The inverse of ``_place``."""
    return datetime.fromisoformat(place) if column == "created_at" else place
