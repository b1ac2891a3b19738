"""A finished search with as many trials as wanted, inserted at once: what its pages cost, without running it."""

from __future__ import annotations

import numpy as np

from nas_service.domain.pareto import hypervolume, non_dominated
from nas_service.domain.records import FrontPoint
from nas_service.storage import fronts
from nas_service.storage.session import unit_of_work
from nas_service.storage.tables import SearchRow, TrialRow
from nas_service.storage.trial_copy import FinishedTrial, copy_trials
from tests.support import searches

CHUNK = 20_000
NUM_POINTS = 200
REFERENCE = [0.0, 1e6]


def add_search_with_trials(engine, num_trials: int, seed: int = 0) -> str:
    """The id of a succeeded search over (accuracy, MACs) of random architectures with made-up accuracies."""
    spec = searches.install(engine)
    search_id = searches.start(engine, spec)
    rng = np.random.default_rng(seed)
    space = searches.digits_space()
    genes = space.sample(num_trials, rng)
    costs = space.costs(genes)
    size = np.log(costs["macs"]) / np.log(costs["macs"].max())
    accuracy = np.clip(0.2 + 0.7 * size + 0.1 * rng.standard_normal(num_trials), 0.1, 1.0)
    F = np.stack((-accuracy, costs["macs"].astype(float)), axis=-1)
    joined, points, front = _history(F)
    with unit_of_work(engine) as session:
        for start in range(0, num_trials, CHUNK):
            rows = range(start, min(num_trials, start + CHUNK))
            copy_trials(session, search_id, (_trial(i, genes, costs, joined) for i in rows))
        table = TrialRow.__table__
        for start in range(0, num_trials, CHUNK):
            stop = min(num_trials, start + CHUNK)
            session.connection().exec_driver_sql(
                "UPDATE trial SET state = 'succeeded', accuracy_top1 = v.a, loss = 1 - v.a "
                "FROM unnest(%s::float8[]) WITH ORDINALITY AS v(a, i) "
                f"WHERE {table.name}.search_id = %s AND {table.name}.number = v.i - 1 + %s",
                (accuracy[start:stop].tolist(), search_id, start),
            )
        fronts.add_points(session, search_id, points)
        row = session.get(SearchRow, search_id)
        assert row is not None
        row.state, row.phase, row.name = "succeeded", "done", f"{num_trials} trials"
        row.num_asked = row.num_told = num_trials
        row.reference_point, row.hypervolume, row.front_size = REFERENCE, points[-1].hypervolume, len(front)
        row.spec = {**row.spec, "finalists": {**row.spec["finalists"], "count": 0}}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE trial")
    return search_id


def _trial(i: int, genes, costs, joined) -> FinishedTrial:
    # Without an accuracy a trial may not be called succeeded yet.
    return FinishedTrial(
        number=i,
        replicate=0,
        fidelity=1.0,
        joined_front=bool(joined[i]),
        architecture_hash=f"arc_{i:032x}",
        genes=genes[i].tolist(),
        state="infeasible",
        evaluation_key=f"made-up {i}",
        token={},
        macs=int(costs["macs"][i]),
        params=int(costs["params"][i]),
        metrics={},
        error=None,
    )


def _history(F: np.ndarray) -> tuple[np.ndarray, list[FrontPoint], np.ndarray]:
    """Which trials joined the front when they were told, the curve, and the final front."""
    joined = np.zeros(len(F), dtype=bool)
    points: list[FrontPoint] = []
    front = np.empty((0, 2))
    stops = np.unique(np.geomspace(1, len(F), NUM_POINTS).astype(int))
    told = 0
    for stop in stops:
        for i in range(told, stop):
            if not ((front <= F[i]).all(axis=1)).any():
                joined[i] = True
                front = np.concatenate((front[~(F[i] <= front).all(axis=1)], F[i : i + 1]))
        told = int(stop)
        points.append(FrontPoint(told, float(hypervolume(front, REFERENCE)), len(front)))
    assert non_dominated(front).all()
    return joined, points, front
