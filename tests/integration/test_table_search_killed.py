"""A CSV file becomes a table on the command line; a search over it survives its dispatcher and repeats itself."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from nas_service.storage.doctor import examine
from tests.support.api import app_on, new_key, served
from tests.support.parts import dispatcher, end_delays, log_of, wait_until
from tests.support.searches import search_of, trials_of

TRIALS = 5_000
LIMIT_MS = 14.0


def write_csv(path):
    """Seven choices of 4 options each, of which every 50th architecture has no accuracy."""
    options = ["conv3", "conv5", "pool", "skip"]
    rng = np.random.default_rng(0)
    cost, gain = rng.uniform(0, 3, (7, 4)), rng.uniform(0, 10, (7, 4))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"op {i}" for i in range(7)), "accuracy", "latency"])
        for number, choice in enumerate(np.ndindex(*(4,) * 7)):
            at = (np.arange(7), np.array(choice))
            accuracy = "" if number % 50 == 0 else round(float(gain[at].sum()), 4)
            writer.writerow([*(options[c] for c in choice), accuracy, round(float(cost[at].sum()), 4)])


def nas(url, key, *arguments):
    """What the command prints as JSON."""
    command = [sys.executable, "-m", "nas_service.cli.main", *arguments, "-o", "json"]
    environment = {**os.environ, "NAS_URL": url, "NAS_API_KEY": key}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.slow
def test_a_table_from_a_file_is_searched_through_a_killed_dispatcher(engine, database_url, empty_tables, tmp_path):
    write_csv(tmp_path / "cells.csv")
    key = new_key(engine)
    columns = ",".join(f"op {i}" for i in range(7))
    with served(app_on(database_url, tmp_path)) as url:
        metrics = "accuracy:maximize:percent,latency:minimize:ms"
        code, table, said = nas(
            url, key, "table", "add", "cells", str(tmp_path / "cells.csv"), "--choices", columns, "--metrics", metrics
        )
        assert code == 0, said
        assert table["architectures"] == 4**7
        create = ["search", "create", "--table", "cells", "--objective", "accuracy"]
        create += ["--objective", f"latency<{LIMIT_MS}", "--trials", str(TRIALS), "--seed", "3", "--strategy", "nsga2"]
        code, first, said = nas(url, key, *create)
        assert code == 0, said
        with dispatcher(database_url, tmp_path) as process:
            wait_until(lambda: search_of(engine, first["id"]).num_told > 0, log_of(tmp_path))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert search_of(engine, first["id"]).num_told < TRIALS
        code, second, said = nas(url, key, *create)
        assert code == 0, said

        def ended(search_id):
            end_delays(engine)
            return search_of(engine, search_id).state in ("succeeded", "failed")

        with dispatcher(database_url, tmp_path) as process:
            for search in (first, second):
                wait_until(lambda search=search: ended(search["id"]), log_of(tmp_path))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=15) == 0
    killed, undisturbed = trials_of(engine, first["id"]), trials_of(engine, second["id"])
    assert [trial.number for trial in killed] == list(range(TRIALS))
    assert [(t.architecture_hash, t.state) for t in killed] == [(t.architecture_hash, t.state) for t in undisturbed]
    originals = {trial.id for trial in killed if trial.reused_from is None}
    assert all(t.reused_from in originals or t.reused_from is None for t in undisturbed)
    for trial in killed:
        slow = trial.metrics["latency"] > LIMIT_MS
        assert trial.state == ("infeasible" if slow or "accuracy" not in trial.metrics else "succeeded")
    assert {trial.state for trial in killed} == {"succeeded", "infeasible"}
    search = search_of(engine, first["id"])
    assert search.state == "succeeded"
    assert 0.9 < search.normalised_hypervolume <= 1.0
    assert examine(engine, tmp_path / "artifacts") == []
