"""Searches for tests: the digits, a library space, specifications, and a worker whose results are a formula."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from nas_service.control.create import create_search
from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_done, record_failure, record_start
from nas_service.control.spaces import store_space
from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest import ingest_digits
from nas_service.domain.search import (
    Budget,
    Constraint,
    EvaluatorSpec,
    Finalists,
    LatencyTarget,
    MethodChoice,
    Objective,
    SearchSpec,
)
from nas_service.storage import datasets, devices, jobs, searches, trials
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import run_in_transaction
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace

LATENCY = Objective("latency_ms", "minimize", target=LatencyTarget("local-cpu"))
ACCURACY = Objective("accuracy_top1", "maximize")
MACS = Objective("macs", "minimize")


@cache
def digits() -> Dataset:
    return build_dataset("digits", ingest_digits())


@cache
def digits_space() -> SearchSpace:
    given = digits().info["input"]
    return load_library("digits-mobile").bind(classes=10, input=given)


def install(engine) -> SearchSpec:
    """Register space, data set and device; a small specification that names them."""

    def work(session):
        store_space(session, digits_space())
        dataset_id = datasets.register(session, name="digits", manifest=dict(digits().info))
        devices.register(session, name="local-cpu", runtimes=["onnxruntime", "torch"], fingerprint={"cores": 2})
        return SearchSpec(
            name="small",
            space_id=digits_space().id,
            dataset_id=dataset_id,
            objectives=(ACCURACY, MACS),
            evaluator=EvaluatorSpec("supernet", recipe=MethodChoice("sandwich", {"num_epochs": 1})),
            strategy=MethodChoice("nsga2", {}),
            budget=Budget(trials=24),
            finalists=Finalists(count=3),
            parallelism=4,
            seed=7,
        )

    return run_in_transaction(engine, work)


def start(engine, spec: SearchSpec, artifacts: Path = Path("no-tables")) -> str:
    return run_in_transaction(engine, lambda session: create_search(session, spec, artifacts, "tester"))


def with_maximum(objective: Objective, maximum: float) -> Objective:
    return replace(objective, constraint=Constraint(maximum=maximum))


def with_minimum(objective: Objective, minimum: float) -> Objective:
    return replace(objective, constraint=Constraint(minimum=minimum))


def search_of(engine, search_id):
    return run_in_transaction(engine, lambda session: searches.get(session, search_id))


def trials_of(engine, search_id, stage="search"):
    return run_in_transaction(engine, lambda session: trials.of_search(session, search_id, stage))


def accuracy_of(genes, split: str) -> float:
    """A score in [0.1, 1) that depends on the architecture and, a little, on the split."""
    genes = np.asarray(genes, dtype=np.int16)
    noise = int.from_bytes(hashlib.sha256(genes.tobytes() + split.encode()).digest()[:4], "big") / 2**32
    return 0.1 + 0.8 * float(np.clip(genes, 0, None).sum() / (3.0 * max(1, len(genes)))) + 0.1 * noise


def latency_of(genes) -> float:
    return 0.1 + 0.01 * float(np.clip(np.asarray(genes), 0, None).sum())


@dataclass
class FormulaWorker:
    """Claims jobs as the dispatcher does and answers with formulas. ``poison`` kills the worker that touches it,
    ``resource`` is the attached device that it works for."""

    engine: object
    poison: set[str] = field(default_factory=set)
    kinds_done: list[str] = field(default_factory=list)
    resource: str | None = None

    def claim(self, limit: int = 100) -> list[ClaimedJob]:
        claims = jobs.claim(self.engine, "formula", limit=limit, lease_s=60, resource=self.resource)
        for claim in claims:
            run_in_transaction(self.engine, lambda session, claim=claim: record_start(session, claim))
        return claims

    def do(self, claim: ClaimedJob) -> bool:
        self.kinds_done.append(claim.kind)
        items = [*claim.payload.get("trials", ()), *claim.payload.get("architectures", ())]
        if any(str(item["genes"]) in self.poison for item in items):
            return run_in_transaction(self.engine, lambda s: record_failure(s, claim, "worker_lost", "killed"))
        result = getattr(self, f"_{claim.kind}")(claim.payload)
        return run_in_transaction(self.engine, lambda session: record_done(session, claim, result))

    def _train_supernet(self, payload):
        checkpoint = {"path": f"{payload['checkpoint_dir']}/step-00000010.1", "step": 10, "sha256": "ab" * 32}
        curve = [{"subnet": "largest", "step": 10, "split": "search", "accuracy_top1": 0.9, "loss": 0.3}]
        return {"checkpoint": checkpoint, "curve": curve, "train_s": 1.5, "warnings": [], "interrupted": False}

    def _fit_latency(self, payload):
        space = digits_space()
        width = space.encode_one_hot(space.smallest()[None]).shape[1]
        estimator = {
            "version": 1,
            "space_id": space.id,
            "device": payload["device"],
            "features": "one_hot",
            "scale": "search",
            "intercept_ms": 0.1,
            "coefficients_ms": [0.01] * width,
            "floor_ms": 0.01,
        }
        return {"estimator": estimator, "held_out": {"mape": 0.1, "n": 8}, "measurements": [], "drift": 0.0}

    def _evaluate(self, payload):
        results = [
            {
                "id": trial["id"],
                "metrics": {
                    "accuracy_top1": accuracy_of(trial["genes"], payload["split"]),
                    "loss": 1.0 - accuracy_of(trial["genes"], payload["split"]),
                    "num_correct": 1,
                    "num_samples": 2,
                },
                "eval_s": 0.01,
            }
            for trial in payload["trials"]
        ]
        return {"results": results, "interrupted": False}

    def _measure(self, payload):
        values = [(item["id"], latency_of(item["genes"])) for item in payload["architectures"]]
        measurements = [
            {"id": name, "latency_ms": ms, "p10_ms": 0.9 * ms, "p90_ms": 1.2 * ms, "num_samples": 50}
            for name, ms in values
        ]
        return {"measurements": measurements, "drift": 0.01, "fingerprint": {"id": "f"}}

    def _train_network(self, payload):
        def scores(split):
            value = accuracy_of(payload["genes"], payload["mode"] + split)
            return {"accuracy_top1": value, "loss": 1.0 - value, "num_correct": 1, "num_samples": 2}

        metrics = {split: scores(split) for split in ("select", "test")}
        checkpoint = {"path": f"{payload['checkpoint_dir']}/best", "step": 5, "sha256": "cd" * 32}
        seeds = [{"seed": payload["seed"] + i, "metrics": metrics} for i in range(payload["num_seeds"])]
        return {"checkpoint": checkpoint, "metrics": metrics, "seeds": seeds, "train_s": 2.0, "interrupted": False}

    def _export(self, payload):
        return {"files": [], "path": f"exports/{payload['export_id']}/{payload.get('epoch', 1)}", "parity": {}}


def work_off(engine, search_id: str, worker: FormulaWorker | None = None, *, rng=None, limit: int = 400) -> None:
    """Run controller and worker until the search rests. With ``rng`` every step has a fresh controller, jobs are
    claimed a few at a time and end in random order."""
    worker = worker or FormulaWorker(engine)
    reconciler, held = Reconciler(engine), []
    for _ in range(limit):
        if rng is not None:
            reconciler = Reconciler(engine)
        reconciler.reconcile()
        if search_of(engine, search_id).state in ("succeeded", "failed", "cancelled", "paused"):
            return
        held += worker.claim(limit=100 if rng is None else int(rng.integers(1, 3)))
        if rng is not None and held:
            rng.shuffle(held)
            worker.do(held.pop())
        elif rng is None:
            while held:
                worker.do(held.pop())
    raise AssertionError(f"search {search_of(engine, search_id)} is not done after {limit} steps")
