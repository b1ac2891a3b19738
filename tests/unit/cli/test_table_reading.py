"""Files of users as tables: architectures in one column, inferred roles of columns, refusals with their reasons."""

from __future__ import annotations

import csv
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.cli.table_files import open_table_file
from nas_service.cli.table_profile import TableOptions
from nas_service.cli.table_reading import understand
from nas_service.errors import InvalidInput
from nas_service.tables.arch_text import ArchitectureReader, Choice
from nas_service.tables.build import build_table
from nas_service.tables.builtin import nasbench201
from nas_service.tables.definition import TableDefinition
from search_spaces.library_index import load_library

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def written(tmp_path, header, rows, **options):
    """A file with these rows, understood."""
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    space = options.pop("space", None)
    genes = None if space is None else [Choice(g.name, tuple(g.options)) for g in load_library(space).genes]
    return understand(open_table_file(path), TableOptions(**options), genes)


def table_of(reading, space=None):
    definition = TableDefinition("t", reading.choices, reading.metrics, None, reading.fidelity, reading.replicate, None)
    rows = list(reading.rows())
    return build_table(definition, lambda: [(0, rows)], None if space is None else load_library(space))


def nb201_text(ops):
    a, b, c, d, e, f = ops
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@pytest.mark.parametrize("space", [None, "nasbench201-cell"])
def test_strings_of_nasbench201_are_its_choices(tmp_path, space):
    wanted = nasbench201()
    accuracy = wanted.column("cifar10_test_e200")[:, 0, 0]
    order = [g.options for g in wanted.space.genes]
    every = [tuple(order[i][o] for i, o in enumerate(row)) for row in wanted.genes]
    keep = range(0, len(every), 7)
    rows = [[i, nb201_text(every[i]), accuracy[i], 3] for i in keep]
    reading = written(tmp_path, ["index", "arch", "cifar10_test_e200", "note"], rows, space=space)
    assert [(m.name, m.goal, m.unit) for m in reading.metrics] == [("cifar10_test_e200", "maximize", "percent")]
    table = table_of(reading, space)
    np.testing.assert_array_equal(table.genes, wanted.genes[list(keep)])
    np.testing.assert_array_equal(table.column("cifar10_test_e200")[:, 0, 0], accuracy[list(keep)])
    assert "architectures from column 'arch'" in " ".join(reading.notes)


def test_the_second_operation_may_be_the_same_everywhere_if_the_space_is_known(tmp_path):
    rows = [[nb201_text((op, "none", "none", "skip_connect", "none", "none")), i] for i, op in enumerate(OPS)]
    reading = written(tmp_path, ["arch", "loss"], rows, arch="arch", space="nasbench201-cell")
    assert [row[:6] for row in reading.rows()][2] == ["nor_conv_1x1", "none", "none", "skip_connect", "none", "none"]


@pytest.mark.parametrize(
    ("cells", "kwargs", "choices"),
    [
        (["8:16", "8:32"], {}, [[16], [32]]),
        (["3-5-7", "5-5-9"], {}, [[3, 7], [5, 9]]),
        (["a_1", "b_2"], {}, [["a", 1], ["b", 2]]),
        (["conv-3x3|pool", "none|pool"], {}, [["conv-3x3"], ["none"]]),
        (["k3e6", "k5e4"], {}, [[3, 6], [5, 4]]),
        (["0120", "2121"], {}, [[0, 0], [2, 1]]),
        (["0a1c", "0b12"], {}, [["a", "c"], ["b", 2]]),
        (["[3, 5]", "[5, 5]"], {}, [[3], [5]]),
        (["('a', 0.5)", "('b', 0.1)"], {}, [["a", 0.5], ["b", 0.1]]),
        (['{"d": 1, "w": {"x": "a"}}', '{"w": {"x": "b"}, "d": 2}'], {}, [[1, "a"], [2, "b"]]),
        (['{"d": 1}', '{"d": 2, "e": "k"}'], {}, [[1, "none"], [2, "k"]]),
        (["d1/xa", "d2/xb"], {"arch_pattern": r"d(?P<d>\d)/x(?P<x>.)"}, [[1, "a"], [2, "b"]]),
        (["01", "11"], {"values": {"0": "identity", "1": "conv"}}, [["identity"], ["conv"]]),
    ],
)
def test_one_column_may_be_written_in_many_ways(tmp_path, cells, kwargs, choices):
    rows = [[cell, float(i)] for i, cell in enumerate(cells)]
    reading = written(tmp_path, ["code", "accuracy"], rows, arch="code", **kwargs)
    assert [row[:-1] for row in reading.rows()] == choices


def test_named_parts_keep_their_names(tmp_path):
    rows = [[json.dumps({"depth": d, "stage": {"op": op}}), d] for d in (1, 2) for op in ("a", "b")]
    assert written(tmp_path, ["code", "loss"], rows, arch="code").choices == ("depth", "stage.op")
    pattern = r"(?P<first>.)(?P<second>.)"
    assert written(tmp_path, ["code", "loss"], [["ab", 1]], arch="code", arch_pattern=pattern).choices == (
        "first",
        "second",
    )


def test_digits_of_a_space_are_named_by_the_user(tmp_path):
    rows = [["".join(code), i] for i, code in enumerate(itertools.product("012", repeat=8))][::50]
    with pytest.raises(InvalidInput, match="no part of column 'arch' has only options of choice"):
        written(tmp_path, ["arch", "loss"], rows, space="nas-bench-macro")
    values = {"0": "identity", "1": "mb3_k3", "2": "mb6_k5"}
    reading = written(tmp_path, ["arch", "loss"], rows, space="nas-bench-macro", values=values)
    assert next(iter(reading.rows()))[:8] == ["identity"] * 8
    assert len(table_of(reading, "nas-bench-macro").genes) == len(rows)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["conv3x3", "pool", "skip", "a.b", "7", "16"]), min_size=1, max_size=5),
    st.sampled_from(["|", ":", "+~", " / ", ";", "->"]),
    st.data(),
)
def test_what_is_joined_is_split_again(first, separator, data):
    others = data.draw(st.lists(st.lists(st.sampled_from(first), min_size=len(first), max_size=len(first))))
    rows = [[*first, "end"], [*reversed(first), "other"], *([*other, "end"] for other in others)]
    reader = ArchitectureReader("arch")
    for number, row in enumerate(rows):
        reader.see(number, separator.join(row))
    found = reader.decide(None)
    varied = [i for i in range(len(first) + 1) if len({row[i] for row in rows}) > 1]
    assert [found.values(separator.join(row)) for row in rows] == [[row[i] for i in varied] for row in rows]


def curves():
    for lr, depth, epoch, seed in itertools.product(("1e-3", "1e-2"), (2, 10), (1, 3, 9), (0, 1)):
        yield [lr, depth, epoch, seed, 50 + epoch + seed + depth, epoch * depth]


def test_roles_of_columns_are_inferred_and_told(tmp_path):
    header = ["lr", "depth", "epochs", "seed", "Test Acc", "latency_ms"]
    reading = written(tmp_path, header, curves())
    assert (reading.choices, reading.fidelity, reading.replicate) == (("lr", "depth"), "epochs", "seed")
    said = " ".join(reading.notes)
    assert all(word in said for word in ("lr, depth", "'epochs' is the fidelity", "'seed' is the replicate"))
    table = table_of(reading)
    assert table.values.shape == (4, 3, 2, 2)
    assert {gene.name: gene.options for gene in table.space.genes} == {"lr": (0.001, 0.01), "depth": (2, 10)}
    given = {"choices": ("lr", "depth"), "metrics": ("Test Acc:max", "latency_ms:minimise:s")}
    explicit = written(tmp_path, header, curves(), fidelity="epochs", replicate="seed", **given)
    assert explicit.notes == ()
    assert [metric.unit for metric in explicit.metrics] == ["percent", "s"]
    assert list(explicit.rows()) == list(reading.rows())
    with pytest.raises(InvalidInput, match="say the same"):
        table_of(written(tmp_path, header, curves(), fidelity="epochs", **given))


def test_columns_side_by_side_become_fidelities(tmp_path):
    header = ["op", "acc_e12", "acc_e200", "valid_e12", "ms"]
    rows = [["a", 60.0, 90.0, 1.0, 5.0], ["b", 70.0, "", 2.0, 6.0]]
    suffixes = (("_e12", 12.0), ("_e200", 200.0))
    reading = written(tmp_path, header, rows, choices=("op",), suffixes=suffixes, metrics=("acc", "valid", "ms"))
    assert list(reading.rows()) == [
        ["a", 12.0, 60.0, 1.0, 5.0],
        ["a", 200.0, 90.0, None, 5.0],
        ["b", 12.0, 70.0, 2.0, 6.0],
        ["b", 200.0, None, None, 6.0],
    ]
    assert table_of(reading).fidelities.tolist() == [12.0, 200.0]
    inferred = written(tmp_path, header, rows, choices=("op",), suffixes=suffixes, fidelity="epochs")
    assert [metric.name for metric in inferred.metrics] == ["acc", "ms"]
    assert inferred.fidelity == "epochs"


def test_negative_latency_stands_for_a_missing_one(tmp_path):
    reading = written(tmp_path, ["op", "latency", "reward"], [["a", -1, -5], ["b", 2, 3]])
    assert list(reading.rows()) == [["a", None, -5.0], ["b", 2.0, 3.0]]
    assert "1 negative values" in " ".join(reading.notes)


@pytest.mark.parametrize(
    ("header", "rows", "options", "said"),
    [
        (["op", "acc"], [["a", "OOM"], ["b", "1"]], {}, "column 'acc' has 1 cells .*row 1: 'OOM'"),
        (["op", "acc"], [["a", "inf"]], {}, "row 1: 'inf'"),
        (["op", "acc"], [["a", ""]], {}, "column 'acc' is empty"),
        (["op", "k"], [["a", "1"]], {}, "no column is a result by its name"),
        (["op", "k"], [["a", "1"]], {"metrics": ("k",)}, "is more or less of 'k' better"),
        (["op", "k"], [["a", "1"]], {"metrics": ("k:up:ms",)}, "'up' is no goal"),
        (["op", "k"], [["a", "1"]], {"metrics": ("z:max:ms",)}, "no column for 'z:max:ms'"),
        (["op", "acc"], [["a", "1"]], {"metrics": ("acc", "acc:max")}, "named twice: acc"),
        (["op", "acc"], [["a", "1"]], {"choices": ("op", "kernel")}, "no column kernel"),
        (["op", "acc"], [["a", "1"]], {"arch": "code"}, "no column code"),
        (["op", "acc"], [["a", "1"]], {"arch": "op", "choices": ("op",)}, "in the column of --arch already"),
        (["op", "acc"], [["a", "1"], ["", "2"]], {"arch": "op"}, "row 2, column 'op': is empty"),
        (["op", "acc"], [["a|b", "1"], ["a", "2"]], {"arch": "op"}, "row 2, column 'op': 'a' has not as many parts"),
        (["op", "acc"], [["{1", "1"], ["{", "2"]], {"arch": "op", "arch_pattern": "("}, "no regular expression"),
        (["op", "acc"], [["a", "1"]], {"arch": "op", "arch_pattern": "a"}, "names no choices"),
        (["op", "acc"], [["a", "1"]], {"arch": "op", "arch_pattern": "(?P<x>b)"}, "does not match"),
        (["op", "acc"], [["ab", "1"], ["ab", "2"]], {"arch": "op"}, "are the same"),
        (["op", "acc"], [], {}, "no rows"),
        (["id", "acc"], [["a", "1"], ["b", "2"]], {}, "name the columns with the choices"),
        (["op", "acc"], [[str(i), i] for i in range(300)], {"choices": ("op",)}, "more than 256 different values"),
        (["op", "e", "acc"], [["a", "0", "1"], ["b", "1", "2"]], {"fidelity": "e"}, "positive numbers"),
        (["op", "e", "acc"], [["a", "", "1"], ["b", "1", "2"]], {"replicate": "e"}, "empty cells"),
        (["op", "acc"], [["a", "1"]], {"space": "nasbench201-cell"}, "no column cell.e01.op"),
        (["op", "acc"], [["a", "1"]], {"space": "nasbench201-cell", "choices": ("op",)}, "1 columns for the 6"),
        (["arch", "acc"], [["a|b", 1], ["a", 2]], {}, "row 2, column 'arch'"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_place_and_reason(tmp_path, header, rows, options, said):
    with pytest.raises(InvalidInput, match=said):
        table_of(written(tmp_path, header, rows, **options))
