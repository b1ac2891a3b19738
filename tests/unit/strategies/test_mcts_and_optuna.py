"""Tree search: rewards, halvings, closed prefixes, virtual loss. Optuna: what its samplers are told, and its caps."""

import numpy as np
import optuna
import pytest

from nas_service.methods.strategies.archive import Archive, milestone
from nas_service.methods.strategies.base import Evaluation, key_of
from nas_service.methods.strategies.registry import STRATEGIES
from tests.contracts.strategy_contract import Runner, landscape, make_problem
from tests.contracts.tree_space import TreeGene, TreeSpace, conditional_space, flat_space


def told(number, objectives):
    return Evaluation(number, np.array([number], dtype=np.int16), objectives, "succeeded")


def make(name, space, num_objectives=1, **params):
    kind = STRATEGIES[name]
    return kind(make_problem(space, num_objectives), kind.Params(**params))


def ordinal_space(num_genes=3, num_options=16):
    genes = [TreeGene(f"g{i}", tuple(range(num_options)), True) for i in range(num_genes)]
    return TreeSpace(genes, lambda rows: {"macs": rows.sum(axis=1)})


def test_archive_keeps_front_and_window():
    rng = np.random.default_rng(0)
    archive = Archive(2)
    points = rng.random((700, 2))
    for i, point in enumerate(points):
        archive.add(told(i, tuple(point)))
    dominated = [any((q <= p).all() and (q < p).any() for q in points) for p in points]
    assert archive.front == [i for i, bad in enumerate(dominated) if not bad]
    window = archive.window(600, 50)
    assert len(window) == 50 == len(set(window))
    assert set(range(590, 600)) <= set(window)
    assert len(archive.window(600, 1)) == 1
    assert archive.rank_reward((0.0, 0.0)) == 1.0
    assert archive.rank_reward((2.0, 2.0)) == 0.0


def test_rewards_of_several_objectives_use_the_whole_range():
    """Among uniform points few dominate any one; their rewards must differ nevertheless, and the best have most."""
    points, archive, rewards = np.random.default_rng(0).random((400, 3)), Archive(3), []
    for number, point in enumerate(points):
        rewards.append(archive.rank_reward(tuple(point)))
        archive.add(Evaluation(number, np.zeros(1, dtype=np.int16), tuple(point), "succeeded"))
    late, kept = np.array(rewards[100:]), points[100:]
    assert np.quantile(late, 0.25) < 0.4
    assert late[kept.sum(axis=1) < 0.9].min() > late[kept.sum(axis=1) > 2.1].max()


def test_milestones_depend_on_the_count_alone_and_grow():
    sizes = sorted({milestone(n, 10) for n in range(5_000)})
    assert sizes[:3] == [0, 10, 14]
    assert all(milestone(size, 10) == size for size in sizes[1:])
    assert len(sizes) < 60


def test_a_path_names_exactly_one_architecture_and_halves_ordered_choices():
    space = conditional_space()
    tree = make("mcts", space)
    paths = [tuple(tree._path(genes)) for genes in space.enumerate()]
    assert len(set(paths)) == len(paths)
    assert max(len(tuple(make("mcts", ordinal_space())._path(g))) for g in ordinal_space().enumerate()[::97]) == 12


def test_halving_shares_between_neighbouring_values():
    """Separable ordered target: at 200 trials the halved tree is far ahead of random search."""

    def evaluate(genes):
        return (float(np.abs(genes - [3, 11, 6]).sum()),)

    def best(name, seed, **params):
        kind = STRATEGIES[name]
        strategy = kind(make_problem(ordinal_space(), 1, seed), kind.Params(**params))
        runner = Runner(strategy, evaluate).step(200).finish()
        return min(e.objectives[0] for e in runner.history)

    halved = np.mean([best("mcts", seed) for seed in range(8)])
    assert halved < 0.6 * np.mean([best("random", seed) for seed in range(8)])


def test_what_is_told_completely_is_closed_and_never_walked_again():
    space = flat_space(2, 3)
    tree = make("mcts", space, initial=1)
    for number, row in enumerate(space.enumerate()[:8]):
        # The first three are the best there are, but nothing is left there.
        tree.tell(Evaluation(number, row, (float(row[0] != 0),), "succeeded"))
    answer = tree.ask(8, [])
    assert answer.genes.tolist() == [2, 2]
    assert tree._root.children[0].closed


def test_pending_trials_spread_the_walks():
    space = flat_space(5, 4)
    tree = make("mcts", space, initial=1, exploration=0.05)
    for number, row in enumerate(space.sample(60, np.random.default_rng(0))):
        tree.tell(Evaluation(number, row, (float(row[0] != 2),), "succeeded"))
    assert tree.ask(60, []).genes[0] == 2
    rows = [row for row in space.enumerate() if row[0] == 2][:40]
    assert tree.ask(60, rows).genes[0] != 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "nsga3", "cma", "qmc", "random"])
def test_every_sampler_proposes_and_restores(sampler):
    space = conditional_space()

    num_objectives = 1 if sampler == "gp" else 2  # more take seconds an ask

    def new():
        kind = STRATEGIES["optuna"]
        return kind(make_problem(space, num_objectives, max_macs=11), kind.Params(sampler=sampler, population=5))

    whole = Runner(new(), landscape(space, num_objectives), parallelism=2).step(12)
    copy = whole.fork(new())
    count = 2 if sampler == "gp" else 8
    assert copy.step(count).keys == whole.step(count).keys
    kinds = {proposal.token["kind"] for proposal in whole.proposals[10:]}
    assert "suggestion" in kinds


def test_samplers_learn_something_and_the_sequence_fills_the_space():
    space = ordinal_space()

    def evaluate(genes):
        return (float(((genes - [3, 11, 6]) ** 2).sum()),)

    def run(sampler, seed):
        kind = STRATEGIES["optuna"]
        strategy = kind(make_problem(space, 1, seed), kind.Params(sampler=sampler))
        return Runner(strategy, evaluate).step(70).finish().history

    random = np.mean([min(e.objectives[0] for e in run("random", s)) for s in range(4)])
    for sampler in ("tpe", "cma"):
        assert np.mean([min(e.objectives[0] for e in run(sampler, s)) for s in range(4)]) < random
    points = np.stack([e.genes for e in run("qmc", 0)[10:]])
    for column in points.T:  # 60 points of a Sobol sequence hit each quarter of every axis almost equally often
        assert np.ptp(np.bincount(column // 4, minlength=4)) <= 3


def test_the_history_is_capped_and_infeasible_trials_are_constraints(monkeypatch):
    space = flat_space()
    seen = []
    original = optuna.Study.add_trials

    def spy(study, trials):
        trials = list(trials)
        seen.append(trials)
        return original(study, trials)

    monkeypatch.setattr(optuna.Study, "add_trials", spy)
    strategy = make("optuna", space, 2, max_history=30)
    rows = space.enumerate()[:200]
    for number, row in enumerate(rows):
        status = "infeasible" if number % 4 == 0 else "failed" if number % 4 == 1 else "succeeded"
        values = (float(row.sum()), 1.0) if status == "succeeded" else None
        strategy.tell(Evaluation(number, row, values, status))
    pending = list(space.enumerate()[200:203])
    answer = strategy.ask(200, pending)
    told, running = seen
    assert len(told) <= 30 + 7
    broken = [trial for trial in told if max(trial.constraints.values()) > 0]
    assert 0 < len(broken) <= 7
    assert len(running) == 3
    assert key_of(answer.genes) not in {key_of(row) for row in pending}
