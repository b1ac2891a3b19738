"""Every strategy goes on identically in a new process with other hash seeds, with trials pending at the cut."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from nas_service.methods.strategies.base import Evaluation, Proposal
from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.strategy_contract import Runner, landscape, make_problem
from tests.contracts.tree_space import conditional_space

ROOT = Path(__file__).resolve().parents[3]
PARAMS = {
    "nsga2": {"early_exit": {"macs": 9}},
    "boshnas": {"epochs": 10, "steps": 3},
    "bananas": {"epochs": 10, "networks": 2},
    "linas": {"generations": 3, "population": 12},
    "flow": {"steps": [{"strategy": {"name": "random"}, "trials": 8}, {"strategy": {"name": "mcts"}}]},
    "warm_start": {"searches": ["none"], "strategy": {"name": "nsga3"}},
}
LEFT_OUT = {"fixed", "uniform_scaling"}  # draw nothing
BEFORE, AFTER, PARALLELISM = 24, 6, 3


def new(name):
    kind = STRATEGIES[name]
    problem = make_problem(conditional_space(), max_macs=12, fidelities=(0.25, 1.0))
    return kind(problem, kind.Params(**PARAMS.get(name, {})))


def cut(runner):
    """What a store would hold of a search, as JSON."""
    return {
        "state": runner.strategy.state(),
        "told": [
            [e.number, e.genes.tolist(), e.objectives, e.status, e.token, e.fidelity] for e in runner.history
        ],
        "pending": [[number, p.genes.tolist(), p.token, p.fidelity] for number, p in runner.pending],
        "number": runner.number,
    }  # fmt: skip


def go_on(name, stored):
    """The next proposals of a search that is rebuilt from what was stored."""
    strategy = new(name)
    history = [
        Evaluation(number, np.array(genes, dtype=np.int16), values and tuple(values), *rest)
        for number, genes, values, *rest in stored["told"]
    ]
    strategy.restore(stored["state"], history)
    runner = Runner(strategy, landscape(conditional_space(), 2), PARALLELISM)
    for number, genes, token, fidelity in stored["pending"]:
        runner.pending.append((number, Proposal(np.array(genes, dtype=np.int16), token, fidelity)))
    runner.number = stored["number"]
    return [[p.genes.tolist(), p.fidelity] for p in runner.step(AFTER).proposals]


def test_a_new_process_continues_the_sequence(tmp_path):
    stored, expected = {}, {}
    for name in sorted(set(STRATEGIES) - LEFT_OUT):
        runner = Runner(new(name), landscape(conditional_space(), 2), PARALLELISM).step(BEFORE)
        stored[name] = cut(runner)
        expected[name] = [[p.genes.tolist(), p.fidelity] for p in runner.step(AFTER).proposals[BEFORE:]]
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "stored.json")],
        env={**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert {name: found[name] == expected[name] for name in expected} == dict.fromkeys(expected, True)


if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: go_on(name, stored) for name, stored in document.items()}))
