"""Create a search: check the specification, bind it to a supernet and an estimator, insert the row."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas_service import logs
from nas_service.control.check import CheckedSpec, check_spec
from nas_service.control.check_table import CheckedTableSpec, check_table_spec
from nas_service.control.spaces import store_space
from nas_service.domain.records import EstimatorRecord, SupernetRecord
from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.ids import content_key, new_id
from nas_service.storage import estimators, events, searches, supernets, work
from nas_service.storage.session import Session


def create_search(session: Session, spec: SearchSpec, artifacts: Path, principal: str | None = None) -> str:
    """Insert the search in state ``queued`` and return its id; ``artifacts`` is where tables lie.

    Raises InvalidInput with every problem.

    Searches with equal space, data set, recipe and seed share one supernet; those with equal space, device and
    measurement target share one latency estimator.
    """
    if isinstance(spec.evaluator, TableEvaluatorSpec):
        return _create_over_table(session, check_table_spec(session, spec, artifacts), principal)
    checked = check_spec(session, spec)
    store_space(session, checked.space, principal)
    supernet = checked.supernet or _shared_supernet(session, checked)
    if supernet.state == "failed":
        retry_failed(session, supernet.id)
        supernets.set_state(session, supernet.id, "queued")
    estimator = _shared_estimator(session, checked)
    if estimator is not None and estimator.state == "failed":
        retry_failed(session, estimator.id)
        estimators.set_state(session, estimator.id, "queued")
    return _insert(
        session,
        checked.spec,
        space_id=checked.space.id,
        dataset_id=checked.dataset.id,
        supernet_id=supernet.id,
        estimator_id=None if estimator is None else estimator.id,
        created_by=principal,
    )


def _create_over_table(session: Session, checked: CheckedTableSpec, principal: str | None) -> str:
    return _insert(session, checked.spec, space_id=checked.space.id, table_id=checked.table.id, created_by=principal)


def _insert(session: Session, spec: SearchSpec, **columns: str | None) -> str:
    search_id = new_id("search")
    values = {"name": spec.name, "spec": spec.to_json(), "trace_id": logs.current("trace_id"), **columns}
    searches.insert(session, search_id, spec.phases[0], values)
    events.record(session, "search.created", {"name": spec.name}, search_id=search_id)
    return search_id


def recipe_document(spec: SearchSpec) -> dict[str, Any]:
    """The training recipe as ``{name, **params}``."""
    recipe = spec.supernet.recipe
    if recipe is None:
        raise ValueError("a search with an existing supernet has no recipe of its own")
    return {"name": recipe.name, **recipe.params}


def retry_failed(session: Session, subject_id: str) -> None:
    """Give the failed job of a shared supernet or estimator another try, since somebody asks for it again."""
    job = work.of_subject(session, subject_id)
    if job is not None:
        work.revive(session, job.id)


def supernet_key(checked: CheckedSpec) -> str:
    """What supernets are shared by: of one key, all are equal."""
    recipe = recipe_document(checked.spec)
    # 2: how wide a document's weights are has changed, so that checkpoints of before do not fit.
    return content_key("supernet", 2, checked.space.id, checked.dataset.fingerprint, recipe, checked.spec.seed)


def _shared_supernet(session: Session, checked: CheckedSpec) -> SupernetRecord:
    return supernets.define(
        session,
        definition_key=supernet_key(checked),
        space_id=checked.space.id,
        dataset_id=checked.dataset.id,
        recipe=recipe_document(checked.spec),
        seed=checked.spec.seed,
    )


def _shared_estimator(session: Session, checked: CheckedSpec) -> EstimatorRecord | None:
    target = checked.spec.latency_target
    if target is None or checked.device is None:
        return None
    document = asdict(target)
    key = content_key("latency_estimator", 1, checked.space.id, checked.device.id, document)
    return estimators.define(
        session, definition_key=key, space_id=checked.space.id, device_id=checked.device.id, target=document
    )
