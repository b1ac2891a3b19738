"""What charts are drawn from: trials as columns, hypervolume against a common reference, and the timeline of jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from nas_service.api.deps import ServiceDep
from nas_service.api.schemas import SearchId
from nas_service.api.views import Page, View
from nas_service.control.curves import hypervolume_curve
from nas_service.control.queries import metric_names
from nas_service.control.spaces import compiled_space
from nas_service.domain.search import SearchSpec
from nas_service.errors import InvalidInput
from nas_service.storage import columns, searches, timeline

router = APIRouter(prefix="/v1", tags=["charts"])

DEFAULT_COLUMN_LENGTH = 20_000
MAX_COLUMN_LENGTH = 200_000
MAX_TIMELINE = 5000
DECIMALS = 7
_PLAIN_FIELDS = ("id", "state", "created_unix_s", "finished_unix_s", "choices")


class TrialColumnsOut(View):
    """Trials as equally long lists, in number order; fields that were not asked for are null.

    ``next_first`` is where the following part starts, null at the end; ``is_final`` says that this part will not
    change any more. Metrics are rounded to 7 decimals. ``choices`` has the position of the chosen option per choice,
    -1 where the choice is inactive. Times are seconds since 1970.
    """

    search_id: str
    stage: str
    next_first: int | None
    is_final: bool
    number: list[int]
    id: list[str] | None
    state: list[str] | None
    created_unix_s: list[float] | None
    finished_unix_s: list[float | None] | None
    metrics: dict[str, list[float | None]]
    choices: dict[str, list[int]] | None


class HypervolumeCurveOut(View):
    """Hypervolume after numbers of evaluations, with the reference point (minimised objectives) it is measured from.

    ``normalised_hypervolume`` is divided by the true front's, ``regret`` what is missing to it; null unless a table
    knows the true front, and for another reference point than the search's own.
    """

    search_id: str
    axes: list[str]
    reference_point: list[float] | None
    num_evaluations: list[int]
    hypervolume: list[float]
    normalised_hypervolume: list[float] | None = None
    regret: list[float] | None = None


class TimelineItemOut(View):
    """One attempt of a job of this search; ``attempt`` is its epoch."""

    job_id: str
    kind: str
    attempt: int
    owner: str
    outcome: str
    reason: str | None
    message: str | None
    num_trials: int | None
    started_at: datetime
    finished_at: datetime | None


@router.get("/searches/{search_id}/trial-columns", response_model=TrialColumnsOut)
def trial_columns(
    search_id: SearchId,
    service: ServiceDep,
    fields: Annotated[
        str,
        Query(
            max_length=1000,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description=f"Separated by commas: names of metrics, {', '.join(_PLAIN_FIELDS)}.",
        ),
    ] = "state",
    stage: Annotated[Literal["search", "final"], Query()] = "search",
    first: Annotated[int, Query(ge=0, le=2**31 - 1, description="Number of the first trial.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_COLUMN_LENGTH)] = DEFAULT_COLUMN_LENGTH,
    every: Annotated[int, Query(ge=1, le=2**31 - 1, description="Only trials with a number divisible by this.")] = 1,
) -> JSONResponse:
    """Trials by columns, many at once."""
    wanted = list(dict.fromkeys(fields.split(",")))
    with service.reading() as session:
        search = searches.get(session, search_id)
        allowed = {*_PLAIN_FIELDS, *metric_names(search)}
        for name in wanted:
            if name not in allowed:
                raise InvalidInput(f"fields: unknown field '{name[:80]}'; allowed: {', '.join(sorted(allowed))}")
        read = ["genes" if name == "choices" else name for name in wanted]
        found, all_over = columns.read(session, search_id, stage, read, first=first, limit=limit, every=every)
        space = compiled_space(session, search.space_id) if "choices" in wanted else None
    full = len(found["number"]) == limit
    choices = None if space is None else _by_choice([gene.name for gene in space.genes], found["genes"])
    plain = {name: found[name] if name in wanted else None for name in _PLAIN_FIELDS if name != "choices"}
    body = {
        "search_id": search_id,
        "stage": stage,
        "next_first": found["number"][-1] + 1 if full else None,
        "is_final": full and all_over,
        "number": found["number"],
        **plain,
        "metrics": {name: _rounded(found[name]) for name in wanted if name not in _PLAIN_FIELDS},
        "choices": choices,
    }
    return JSONResponse(body)


@router.get("/searches/{search_id}/hypervolume", response_model=HypervolumeCurveOut)
def hypervolume(
    search_id: SearchId,
    service: ServiceDep,
    reference_point: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[0-9eE+., -]*$",
            description="One number per axis, minimised, separated by commas; left out, its own.",
        ),
    ] = None,
    num_points: Annotated[int, Query(ge=1, le=500)] = 100,
) -> HypervolumeCurveOut:
    """Hypervolume over evaluations against any reference point."""
    reference = None if reference_point is None else _numbers(reference_point)
    with service.reading() as session:
        search = searches.get(session, search_id)
        curve = hypervolume_curve(session, search_id, reference, num_points)
        if curve is None:
            axes = [axis.metric for axis in SearchSpec.from_json(search.spec).axes]
            return HypervolumeCurveOut(
                search_id=search_id, axes=axes, reference_point=None, num_evaluations=[], hypervolume=[]
            )
    shares: dict[str, list[Any]] = {}
    if search.true_hypervolume and curve.reference_point == search.reference_point:
        shares["normalised_hypervolume"] = [search.normalised(volume) for volume in curve.hypervolume]
        shares["regret"] = [search.regret_of(volume) for volume in curve.hypervolume]
    return HypervolumeCurveOut.model_validate(
        {"search_id": search_id, **vars(curve), "axes": list(curve.axes), **shares}
    )


@router.get("/searches/{search_id}/timeline", response_model=Page[TimelineItemOut])
def timeline_of_search(
    search_id: SearchId,
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=MAX_TIMELINE, description="The latest ones.")] = 1000,
) -> Page[TimelineItemOut]:
    """Attempts of the jobs of a search, and of the supernet and estimator it waited for, oldest first."""
    with service.reading() as session:
        search = searches.get(session, search_id)
        subjects = [subject for subject in (search.supernet_id, search.estimator_id) if subject is not None]
        found = timeline.of_search(session, search_id, subjects, limit=limit)
    return Page[TimelineItemOut](items=[TimelineItemOut.model_validate(item) for item in found])


def _by_choice(names: list[str], genes: list[str]) -> dict[str, list[int]]:
    """Positions of the chosen options by choice, from the genes of each trial as text."""
    if not names:
        return {}
    options = np.fromstring(",".join(genes), dtype=np.int16, sep=",")
    return dict(zip(names, options.reshape(-1, len(names)).T.tolist(), strict=True))


def _rounded(values: Iterable[Any]) -> list[float | int | None]:
    """What is not a finite number is missing: JSON has no infinity and no NaN."""
    return [
        round(value, DECIMALS) if isinstance(value, float) else value if isinstance(value, int) else None
        for value in values
    ]


def _numbers(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(math.isfinite(value) for value in values):
        raise InvalidInput(f"reference_point: numbers separated by commas, not '{text[:80]}'")
    return values
