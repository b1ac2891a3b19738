"""Tables for tests: a small one with a known front, and the job that really advances a search over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas_service.control.reconcile import Reconciler
from nas_service.control.results import record_done, record_failure, record_start
from nas_service.control.spaces import store_space
from nas_service.domain.search import Budget, Finalists, MethodChoice, Objective, SearchSpec, TableEvaluatorSpec
from nas_service.storage import jobs, lookup_tables
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import run_in_transaction
from nas_service.tables.build import build_table
from nas_service.tables.definition import TableDefinition, TableMetric
from nas_service.tables.table import Table
from tests.support.searches import search_of
from workers.advance import advance
from workers.context import WorkContext

METRICS = (TableMetric("accuracy", "maximize", "percent"), TableMetric("latency_ms", "minimize", "ms"))
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("latency_ms", "minimize"))
WIDTHS = (8, 16, 24, 32)


def small_rows() -> list[list]:
    """Three operations and two widths: 256 architectures, accuracy against latency, one value missing."""
    rng = np.random.default_rng(0)
    rows = []
    for ops in np.ndindex(4, 4):
        for widths in np.ndindex(4, 4):
            size = sum(WIDTHS[w] for w in widths) * (1 + sum(ops)) / 10
            accuracy = round(95 - 60 / (1 + size) + float(rng.normal(0, 1)), 3)
            rows.append([*(f"op{o}" for o in ops), *(WIDTHS[w] for w in widths), accuracy, round(size, 3)])
    rows[17][-1] = None
    return rows


def small_table() -> Table:
    choices = ("first op", "second op", "width1", "width2")
    return build_table(TableDefinition("small", choices, METRICS), lambda: [(0, small_rows())], None)


def install_table(engine, artifacts: Path, table: Table, name: str = "small") -> SearchSpec:
    """Store a table and give a specification of a search over it."""
    table.save(artifacts)

    def work(session):
        store_space(session, table.space)
        lookup_tables.register(
            session, table_id=table.id, name=name, space_id=table.space.id, manifest=table.manifest()
        )

    run_in_transaction(engine, work)
    return SearchSpec(
        name="over a table",
        space_id=table.space.id,
        dataset_id=None,
        objectives=OBJECTIVES,
        evaluator=TableEvaluatorSpec("table", table.id),
        strategy=MethodChoice("nsga2", {}),
        budget=Budget(trials=120),
        finalists=Finalists(count=0),
        parallelism=4,
        seed=5,
    )


class TableWorker:
    """Claims jobs as the dispatcher does and does them for real; with ``limit`` a chunk has at most so many trials."""

    def __init__(self, engine, artifacts: Path, limit: int | None = None) -> None:
        self.engine = engine
        self.limit = limit
        self.context = WorkContext(artifacts)

    def claim(self) -> ClaimedJob | None:
        found = jobs.claim(self.engine, "table worker", limit=1, lease_s=60)
        if not found:
            return None
        claim = found[0]
        run_in_transaction(self.engine, lambda session: record_start(session, claim))
        return claim

    def compute(self, claim: ClaimedJob) -> dict:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return self.limit is not None and asked > self.limit

        return advance(claim.payload, WorkContext(self.context.artifacts, should_stop=stop))

    def record(self, claim: ClaimedJob, result: dict) -> bool:
        return run_in_transaction(self.engine, lambda session: record_done(session, claim, result))

    def lose(self, claim: ClaimedJob) -> bool:
        return run_in_transaction(self.engine, lambda session: record_failure(session, claim, "worker_lost", "killed"))


def advance_until_rest(engine, worker: TableWorker, search_id: str, limit: int = 300) -> int:
    """Run controller and worker until the search rests; how many jobs it took."""
    reconciler = Reconciler(engine)
    for count in range(limit):
        reconciler.reconcile()
        if search_of(engine, search_id).state in ("succeeded", "failed", "cancelled", "paused"):
            return count
        claim = worker.claim()
        if claim is not None:
            worker.record(claim, worker.compute(claim))
    raise AssertionError(f"search {search_of(engine, search_id)} is not done after {limit} jobs")
