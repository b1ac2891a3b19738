"""Payloads of jobs: plain JSON, complete by itself, so that a worker never needs the database.

The dispatcher adds ``epoch`` to each when it submits the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas_service.control.spaces import compiled_space
from nas_service.domain.records import (
    DatasetRecord,
    DeviceRecord,
    EstimatorRecord,
    SearchRecord,
    SupernetRecord,
    TrialRecord,
)
from nas_service.domain.search import SearchSpec
from nas_service.storage import datasets, devices, estimators, supernets
from nas_service.storage.session import Session
from search_spaces.space import SearchSpace

CALIBRATION_BATCH_SIZE = 512


@dataclass(frozen=True)
class Surroundings:
    """Everything a search refers to, read once per step of the controller."""

    search: SearchRecord
    spec: SearchSpec
    space: SearchSpace
    dataset: DatasetRecord
    supernet: SupernetRecord
    estimator: EstimatorRecord | None
    device: DeviceRecord | None


def surroundings_of(session: Session, search: SearchRecord) -> Surroundings:
    """Read what the search refers to."""
    spec = SearchSpec.from_json(search.spec)
    estimator = estimators.get(session, search.estimator_id) if search.estimator_id else None
    return Surroundings(
        search=search,
        spec=spec,
        space=compiled_space(session, search.space_id),
        dataset=datasets.get(session, str(search.dataset_id)),
        supernet=supernets.get(session, str(search.supernet_id)),
        estimator=estimator,
        device=None if estimator is None else devices.get(session, estimator.device_id),
    )


def train_supernet(around: Surroundings) -> dict[str, Any]:
    supernet = around.supernet
    return {
        "supernet_id": supernet.id,
        "space": around.space.document.to_json(),
        "dataset": around.dataset.fingerprint,
        "recipe": supernet.recipe,
        "seed": supernet.seed,
        "checkpoint_dir": f"supernets/{supernet.id}",
    }


def fit_latency(around: Surroundings) -> dict[str, Any]:
    return {
        "space": around.space.document.to_json(),
        "dataset": around.dataset.fingerprint,
        "device": device_settings(around),
        "resource": device_resource(around),
        "seed": 0,
    }


def evaluate(around: Surroundings, split: str, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    return {
        "supernet": supernet_weights(around),
        "space": around.space.document.to_json(),
        "dataset": around.dataset.fingerprint,
        "split": split,
        "trials": [{"id": trial.id, "genes": trial.genes} for trial in trials],
        "calibration": calibration(around),
    }


def calibration(around: Surroundings) -> dict[str, int]:
    """How batch-norm statistics are recalibrated, wherever an architecture of this search is scored."""
    return {"num_samples": around.spec.supernet.calibration_samples, "batch_size": CALIBRATION_BATCH_SIZE}


def measure(around: Surroundings, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    return {
        "space": around.space.document.to_json(),
        "dataset": around.dataset.fingerprint,
        "device": device_settings(around),
        "resource": device_resource(around),
        "architectures": [{"id": trial.id, "genes": trial.genes} for trial in trials],
        "supernet": supernet_weights(around),
    }


def train_network(around: Surroundings, trial: TrialRecord) -> dict[str, Any]:
    finalists = around.spec.finalists
    if finalists.recipe is None:
        raise ValueError("finalists that inherit their weights are not trained")
    payload = {
        "network_id": trial.id,
        "space": around.space.document.to_json(),
        "genes": trial.genes,
        "dataset": around.dataset.fingerprint,
        "mode": finalists.mode,
        "recipe": {"name": finalists.recipe.name, **finalists.recipe.params},
        "seed": around.spec.seed,
        "num_seeds": finalists.seeds,
        "checkpoint_dir": f"networks/{trial.id}",
    }
    if finalists.mode == "finetune":
        payload["supernet"] = supernet_weights(around)
    return payload


def export(around: Surroundings, trial: TrialRecord, export_id: str) -> dict[str, Any]:
    checkpoint = trial.metrics.get("checkpoint")
    weights = {"network": checkpoint} if checkpoint else {"supernet": supernet_weights(around)}
    names = ("accuracy_top1", "loss", "macs", "params", "latency_ms", "latency_p10_ms", "latency_p90_ms")
    values = {name: getattr(trial, name) for name in names if getattr(trial, name) is not None}
    return {
        "export_id": export_id,
        "space": around.space.document.to_json(),
        "genes": trial.genes,
        "dataset": around.dataset.fingerprint,
        "weights": weights,
        "calibration": calibration(around),
        "metrics": {**{key: value for key, value in trial.metrics.items() if key != "checkpoint"}, **values},
        "seed": around.spec.seed,
        "provenance": {
            "search_id": around.search.id,
            "search_name": around.search.name,
            "trial_id": trial.id,
            "stage": trial.stage,
            "latency_is": "measured" if trial.stage == "final" else "predicted",
            "architecture_hash": trial.architecture_hash,
            "supernet_id": around.supernet.id,
            "dataset_name": around.dataset.name,
            "device": None if around.device is None else around.device.name,
        },
    }


def supernet_weights(around: Surroundings) -> dict[str, Any]:
    """Which checkpoint to load: ``{id, checkpoint: {path, sha256}}``. ValueError before the supernet is ready."""
    checkpoint = around.supernet.checkpoint
    if checkpoint is None:
        raise ValueError(f"supernet {around.supernet.id} has no checkpoint yet")
    return {"id": around.supernet.id, "checkpoint": {key: checkpoint[key] for key in ("path", "sha256")}}


def device_resource(around: Surroundings) -> str | None:
    """The resource of the cluster that stands for the device of the search; None: any worker measures."""
    resource: str | None = None if around.device is None else around.device.fingerprint.get("resource")
    return resource


def device_settings(around: Surroundings) -> dict[str, Any]:
    """How the device of the search executes networks (``methods.runtimes.DeviceSettings``)."""
    target = around.spec.latency_target
    if target is None or around.device is None:
        raise ValueError("the search measures no latency")
    return {
        "name": around.device.name,
        "processor": around.device.fingerprint.get("processor", "cpu"),
        "runtime": target.runtime,
        "batch_size": target.batch_size,
        "threads": target.threads,
    }
