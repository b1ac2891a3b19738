"""Tables: content, fidelities, replicates, outcomes of evaluations, and searches over them without a service."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.domain.search import (
    Budget,
    Constraint,
    Finalists,
    MethodChoice,
    Objective,
    SearchSpec,
    TableEvaluatorSpec,
)
from nas_service.errors import InvalidInput
from nas_service.methods.strategies.base import Proposal
from nas_service.methods.strategies.proposing import ProposingStrategy
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.tables.build import build_table
from nas_service.tables.builtin import nasbench201, nasbench201_epochs
from nas_service.tables.definition import TableDefinition, TableMetric
from nas_service.tables.hashes import ArchitectureHasher
from nas_service.tables.inline import InlineSearch, RepeatCounter, decode_genes, encode_genes
from nas_service.tables.lookup import TableLookup
from nas_service.tables.nasbench201 import load_nasbench201
from nas_service.tables.rows import check_rows
from nas_service.tables.table import load_table, table_path
from nas_service.tables.true_front import TrueFront
from search_spaces.library_index import load_library
from tests.support.tables import OBJECTIVES, small_table

METRICS = (TableMetric("acc", "maximize", "percent"), TableMetric("ms", "minimize", "ms"))


def curves(num_epochs=3, num_seeds=2):
    """Accuracy grows with epochs and differs by seed; architecture (2, 2) has no second seed."""
    definition = TableDefinition("curves", ("a", "b"), METRICS, fidelity="epochs", replicate="seed")
    rows = []
    for a in range(3):
        for b in range(3):
            for epoch in range(1, num_epochs + 1):
                for seed in range(num_seeds):
                    missing = (a, b, seed) == (2, 2, 1)
                    acc = None if missing else 10.0 * a + b + epoch + 0.5 * seed
                    rows.append([a, b, epoch * 10, seed, acc, float(a + 2 * b + 1)])
    return build_table(definition, lambda: [(0, rows[:7]), (7, rows[7:])], None)


CURVES, SMALL = curves(), small_table()


def spec_over(table, **changes):
    spec = SearchSpec(
        name="s",
        space_id=table.space.id,
        dataset_id=None,
        objectives=(Objective("acc", "maximize"), Objective("ms", "minimize")),
        evaluator=TableEvaluatorSpec("table", table.id),
        strategy=MethodChoice("random", {}),
        budget=Budget(20),
        finalists=Finalists(count=0),
        parallelism=3,
    )
    return replace(spec, **changes)


def test_fidelities_and_replicates_make_a_cube(tmp_path):
    table = curves()
    assert table.values.shape == (9, 3, 2, 2)
    assert table.shares == pytest.approx((1 / 3, 2 / 3, 1.0))
    assert table.shares[-1] == 1.0
    row = table.row_of[np.array([1, 2], dtype=np.int16).tobytes()]
    assert table.column("acc")[row, 2].tolist() == [15.0, 15.5]
    assert table.mean_values[row, 2, 0] == 15.25
    last = table.row_of[np.array([2, 2], dtype=np.int16).tobytes()]
    assert table.mean_values[last, 0, 0] == 23.0  # of the one seed that has a value
    table.save(tmp_path)
    again = load_table(tmp_path, table.id)
    np.testing.assert_array_equal(again.values, table.values)
    assert (again.id, again.manifest()) == (table.id, table.manifest())


def test_a_damaged_file_is_noticed(tmp_path):
    table = curves()
    table.save(tmp_path)
    other = curves(num_epochs=2)
    other.save(tmp_path)
    table_path(tmp_path, other.id).replace(table_path(tmp_path, table.id))
    with pytest.raises(ValueError, match="damaged"):
        load_table(tmp_path, table.id)


def test_evaluations_at_a_fidelity_give_the_mean_or_a_draw():
    table = curves()
    genes = np.array([1, 1], dtype=np.int16)
    mean = TableLookup(spec_over(table), table)
    assert mean.evaluate(genes, 1.0, 0).objectives == (-14.25, 4.0)
    assert mean.evaluate(genes, table.shares[0], 0).objectives == (-12.25, 4.0)
    drawing = TableEvaluatorSpec("table", table.id, replicate="draw")
    outcomes = set()
    for seed in range(8):
        lookup = TableLookup(spec_over(table, evaluator=drawing, seed=seed), table)
        first = lookup.evaluate(genes, 1.0, 0)
        assert first == lookup.evaluate(genes, 1.0, 0)
        outcomes.add(first.objectives[0])
        lone = lookup.evaluate(np.array([2, 2], dtype=np.int16), 1.0, 0)
        assert lone.objectives == (-25.0, 7.0)  # the seed without a value is never drawn
    assert outcomes == {-14.0, -14.5}


def test_what_is_missing_or_breaks_a_bound_is_infeasible_with_the_reason():
    definition = TableDefinition("holes", ("a",), METRICS)
    table = build_table(definition, lambda: [(0, [[0, 1.0, 5.0], [1, None, 5.0], [2, 3.0, 9.0]])], None)
    bounded = (Objective("acc", "maximize"), Objective("ms", "minimize", Constraint(maximum=8.0)))
    lookup = TableLookup(spec_over(table, objectives=bounded), table)
    outcomes = [lookup.evaluate(np.array([i], dtype=np.int16), 1.0, 0) for i in range(3)]
    assert [outcome.status for outcome in outcomes] == ["succeeded", "infeasible", "infeasible"]
    assert "no value of acc" in outcomes[1].error["message"]
    assert outcomes[2].error["violations"] == [{"metric": "ms", "value": 9.0, "maximum": 8.0}]
    assert lookup.feasible_rows.tolist() == [True, False, False]
    assert lookup.true_front.points.tolist() == [[-1.0, 5.0]]


class Ladder(ProposingStrategy):
    """Every architecture at every fidelity, cheapest first; for the test below."""

    name = "ladder"
    help = "test"

    def ask(self, number, pending):
        shares = self.problem.fidelities
        genes = self.problem.space.enumerate()[number // len(shares)]
        return Proposal(genes, {"rung": number % len(shares)}, shares[number % len(shares)])


def test_only_full_evaluations_make_the_front(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "ladder", Ladder)
    table = curves()
    search = InlineSearch(spec_over(table, strategy=MethodChoice("ladder"), budget=Budget(27)), table, table.id)
    chunk = search.run(lambda count: False)
    assert len(set(chunk.evaluation_keys)) == 27
    assert [evaluation.fidelity for evaluation in search.strategy.history[:3]] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert all(number % 3 == 2 for number in chunk.joined_front)
    assert chunk.hypervolume == pytest.approx(chunk.true_hypervolume)
    rebuilt = InlineSearch(search.spec, table, table.id)
    history = {"genes": chunk.genes, "fidelities": chunk.fidelities, "tokens": chunk.tokens}
    rebuilt.restore(chunk.strategy_state, 27, history)
    assert (rebuilt.front.hypervolume, rebuilt.front.size) == (chunk.hypervolume, chunk.front_size)


@settings(max_examples=25, deadline=None)
@given(
    strategy=st.sampled_from(["random", "nsga2", "aging_evolution", "local_search"]),
    parallelism=st.integers(1, 9),
    cuts=st.lists(st.tuples(st.integers(1, 17), st.booleans()), min_size=1, max_size=8),
)
def test_where_a_chunk_ends_and_who_goes_on_changes_nothing(strategy, parallelism, cuts):
    """``cuts``: trials of each chunk, and whether another worker goes on from what is stored."""
    spec = spec_over(
        SMALL,
        objectives=OBJECTIVES,
        strategy=MethodChoice(strategy),
        budget=Budget(60),
        parallelism=parallelism,
        seed=9,
    )
    whole = InlineSearch(spec, SMALL, SMALL.id).run(lambda count: False)
    search, stored = InlineSearch(spec, SMALL, SMALL.id), []
    for size, moves in cycle(cuts):
        stored.append(search.run(lambda count, size=size: count >= size))
        if search.is_over:
            break
        if moves:
            genes = np.concatenate([decode_genes(chunk.genes, 4) for chunk in stored])
            history = {
                "genes": encode_genes(genes),
                "fidelities": [share for chunk in stored for share in chunk.fidelities],
                "tokens": json.loads(json.dumps([token for chunk in stored for token in chunk.tokens])),
            }
            search = InlineSearch(spec, SMALL, SMALL.id)
            search.restore(stored[-1].strategy_state, stored[-1].num_told, history)
    for name in ("evaluation_keys", "states", "metrics", "tokens", "joined_front"):
        assert [item for chunk in stored for item in getattr(chunk, name)] == getattr(whole, name), name
    assert (stored[-1].num_told, stored[-1].hypervolume) == (60, whole.hypervolume)
    assert stored[-1].strategy_state == whole.strategy_state


def test_the_share_of_the_true_front_is_that_of_the_benchmark():
    """Scaled by ideal and nadir of the front, points below half of the best accuracy not setting the nadir."""
    table, data = nasbench201(), load_nasbench201()
    objectives = (Objective("cifar10_test_e200", "maximize"), Objective("cifar10_edgegpu_latency", "minimize"))
    search = InlineSearch(spec_over(table, objectives=objectives, budget=Budget(150)), table, table.id)
    chunk = search.run(lambda count: False)
    error, latency = 100 - data.columns["cifar10_test_e200"], data.columns["cifar10_edgegpu_latency"]
    truth = TrueFront(np.stack([error, latency], axis=1), 100 - error >= (100 - error.min()) / 2)
    rows = data.rows_of(decode_genes(chunk.genes, 6))
    expected = truth.share(np.stack([error[rows], latency[rows]], axis=1))[-1]
    assert chunk.hypervolume / chunk.true_hypervolume == pytest.approx(expected)


def test_the_builtin_table_keeps_its_attribution():
    manifest = nasbench201().manifest()
    assert manifest["num_architectures"] == 15_625
    assert "Dong" in manifest["attribution"]
    assert "MIT" in manifest["attribution"]
    units = {metric["name"]: metric["unit"] for metric in manifest["metrics"]}
    assert units["cifar10_edgegpu_latency"] == "ms"
    assert units["cifar100_fpga_energy"] == "mJ"
    assert "index" not in units


@pytest.mark.parametrize("name", ["nasbench201-cell", "digits-mobile", "darts-cell"])
def test_hashes_are_those_of_the_space(name):
    space = load_library(name)
    hasher = ArchitectureHasher(space)
    for genes in space.sample(40, np.random.default_rng(0)):
        assert hasher(genes) == space.architecture(genes).hash


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_repeats_are_counted_per_architecture_and_fidelity(asked):
    table, seen = CURVES, {}
    counter = RepeatCounter(table)
    for a, b, f in asked:  # 3 is no option of the table: counted all the same
        found = counter.next(np.array([a, b], dtype=np.int16), table.shares[f])
        assert found == seen.get((a, b, f), 0)
        seen[a, b, f] = found + 1


def test_rows_of_a_conditional_space_leave_out_what_does_not_exist():
    space = load_library("digits-mobile")
    names = tuple(gene.name for gene in space.genes)
    definition = TableDefinition("conditional", names, METRICS, space_id=space.id)
    genes = np.unique(space.sample(60, np.random.default_rng(0)), axis=0)
    assert (genes < 0).any()

    def row(options, write):
        values = [None if o < 0 else gene.options[o] for gene, o in zip(space.genes, options, strict=True)]
        return [*(None if value is None else write(value) for value in values), 1.0, 2.0]

    rows = [row(options, lambda value: value) for options in genes]
    np.testing.assert_array_equal(check_rows(definition, rows, 0, space), genes)
    as_text = [row(options, str) for options in genes]
    np.testing.assert_array_equal(check_rows(definition, as_text, 0, space), genes)
    table = build_table(definition, lambda: [(0, rows)], space)
    assert table.costs["macs"].tolist() == space.costs(table.genes)["macs"].tolist()
    hollow = next(i for i, options in enumerate(genes) if (options < 0).any())
    column = int(np.flatnonzero(genes[hollow] < 0)[0])
    rows[hollow][column] = space.genes[column].options[0]
    with pytest.raises(InvalidInput, match=f"row {hollow + 1}, column '{names[column]}'"):
        check_rows(definition, rows, 0, space)


def test_genes_survive_the_wire():
    genes = np.array([[0, -1, 300], [1, 2, 3]], dtype=np.int16)
    np.testing.assert_array_equal(decode_genes(encode_genes(genes), 3), genes)


def test_rows_that_say_the_same_are_named_with_their_numbers():
    definition = TableDefinition("twice", ("a",), METRICS)
    with pytest.raises(InvalidInput, match="rows 1 and 3 say the same"):
        build_table(definition, lambda: [(0, [[0, 1.0, 1.0], [1, 1.0, 1.0]]), (2, [[0, 2.0, 1.0]])], None)
    with pytest.raises(InvalidInput, match="no rows"):
        build_table(definition, lambda: [], None)


def test_the_epochs_of_the_builtin_table_are_its_fidelities():
    table, data = nasbench201_epochs(), load_nasbench201().columns
    assert table.shares == (0.06, 1.0)
    accuracy, latency = table.column("cifar100_test"), table.column("cifar100_raspi4_latency")
    np.testing.assert_array_equal(accuracy[:, :, 0].T, [data["cifar100_test_e12"], data["cifar100_test_e200"]])
    np.testing.assert_array_equal(latency[:, :, 0].T, [data["cifar100_raspi4_latency"]] * 2)
    assert {metric.name for metric in table.metrics if metric.goal == "maximize"} == {
        "cifar10_valid", "cifar10_test", "cifar100_test", "imagenet16_test"
    }  # fmt: skip
