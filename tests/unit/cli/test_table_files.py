"""CSV, TSV and Parquet files as columns and cells, and what the names and cells of columns mean."""

from __future__ import annotations

import gzip

import pyarrow
import pyarrow.parquet
import pytest

from nas_service.cli.table_files import open_table_file
from nas_service.client_rows import PIECE_BYTES, PIECE_ROWS, PIECE_VALUES, pieces
from nas_service.errors import InvalidInput
from nas_service.tables.cells import number_of, option_values, result_of
from nas_service.tables.column_names import clean_name, goal_of, unit_of

TEXT = 'op,width,epochs,acc\nconv 3x3,8,12,71.5\n"none", 16 ,200,NaN\n\n,,,\nconv 3x3,16,200,"1,5"\n'
ROWS = [
    (1, ["71.5", "conv 3x3", "12"]),
    (2, ["NaN", "none", "200"]),
    (3, ["1,5", "conv 3x3", "200"]),
]


@pytest.mark.parametrize(
    ("name", "content", "decimal_comma"),
    [
        ("t.csv", TEXT.encode(), False),
        ("t.csv", b"\xef\xbb\xbf\n" + TEXT.replace("\n", "\r\n").encode(), False),
        ("t.csv", TEXT.encode("utf-16"), False),
        ("t.csv.gz", gzip.compress(TEXT.encode()), False),
        ("t.csv", TEXT.replace('"1,5"', "1#5").replace(",", ";").replace("#", ",").encode(), True),
        ("t.tsv", TEXT.replace('"1,5"', "1#5").replace(",", "\t").replace("#", ",").encode(), True),
    ],
)
def test_text_files_of_any_make_have_the_same_cells(tmp_path, name, content, decimal_comma):
    path = tmp_path / name
    path.write_bytes(content)
    file = open_table_file(path)
    assert file.columns == ("op", "width", "epochs", "acc")
    assert file.decimal_comma is decimal_comma
    for _ in range(2):
        assert list(file.rows(["acc", "op", "epochs"])) == ROWS


def test_parquet_values_keep_their_kind(tmp_path):
    path = tmp_path / "t.parquet"
    data = {"op": ["conv", None, " "], "acc": [1.5, float("nan"), float("inf")], "flag": [True, False, None]}
    pyarrow.parquet.write_table(pyarrow.table(data), path)
    rows = [cells for _, cells in open_table_file(path).rows(["flag", "acc", "op"])]
    assert rows == [[True, 1.5, "conv"], [False, None, None], [None, float("inf"), None]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"\n \n", "empty"),
        ("t.csv", b"op,width,acc\na,8,1\na,1\n", r"row 2 \(line 3\): 2 cells under 3 columns"),
        ("t.csv", b"op,acc\na,1,2\n", r"row 1 \(line 2\): 3 cells under 2 columns"),
        ("t.csv", b"op,acc,op\na,1,2\n", "named twice: op"),
        ("t.csv", b"op,acc\n\xe9,1\n", "not UTF-8"),
        ("t.csv.gz", b"op,acc\n", "cannot be read"),
        ("t.parquet", b"not parquet", "no Parquet file"),
        ("t.xlsx", b"", "unknown kind"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        list(open_table_file(path).rows(["acc"]))
    with pytest.raises(InvalidInput, match="no such file"):
        open_table_file(tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("71.5", 71.5), ("-1e-3", -0.001), ("93.4 %", 93.4), ("n/a", None), ("-", None), (None, None), (3, 3.0)],
)
def test_cells_that_are_results(cell, value):
    assert result_of(cell) == value


@pytest.mark.parametrize("cell", ["OOM", "inf", "1_000", "1,5", "1e999", True, float("inf"), "0x10"])
def test_cells_that_are_no_results(cell):
    with pytest.raises(ValueError, match=str(cell)):
        result_of(cell)
    assert number_of("1,5", decimal_comma=True) == 1.5


@pytest.mark.parametrize(
    ("cells", "flat", "values"),
    [
        (["16", "8", "1e1"], True, [16, 8, 10]),
        (["16", "8", "conv"], True, [16, 8, "conv"]),
        (["0.5", "1"], True, [0.5, 1]),
        ([8.0, 16.0, None], False, [8, 16, None]),
        (["001", "010"], True, ["001", "010"]),
        (["1_0", "nan"], True, ["1_0", "nan"]),
        (["True", "false"], True, [True, False]),
        (["True", "maybe"], True, ["True", "maybe"]),
        ([True, "maybe"], True, ["True", "maybe"]),
        (["conv", None], True, ["conv", "none"]),
        (["conv", None], False, ["conv", None]),
    ],
)
def test_cells_of_a_choice_are_read_as_one_column(cells, flat, values):
    found = option_values(cells, flat)
    assert [(type(found[cell]), found[cell]) for cell in cells] == [(type(value), value) for value in values]


def test_empty_cells_beside_the_option_none_are_ambiguous():
    with pytest.raises(ValueError, match="empty"):
        option_values(["none", None], flat=True)


@pytest.mark.parametrize(
    ("column", "largest", "goal", "unit"),
    [
        ("testAcc_top1 (%)", 95.0, "maximize", "percent"),
        ("val_accuracy", 0.95, "maximize", "ratio"),
        ("cifar10_valid_e12", 90.0, "maximize", "percent"),
        ("top1-error", 30.0, "minimize", "percent"),
        ("val_loss", 3.0, "minimize", "unstated"),
        ("FLOPs(M)", 300.0, "minimize", "million"),
        ("params_M", 5.0, "minimize", "million"),
        ("latency_ms", 9.0, "minimize", "ms"),
        ("energy [mJ]", 9.0, "minimize", "mJ"),
        ("throughput (fps)", 90.0, "maximize", "fps"),
        ("train_time", 90.0, "minimize", "unstated"),
        ("cifar10_test_e200_std", 1.0, None, "ratio"),
        ("width", 64.0, None, "unstated"),
    ],
)
def test_names_tell_direction_and_unit(column, largest, goal, unit):
    assert goal_of(column) == goal
    assert unit_of(column, largest) == unit
    assert clean_name("a:b <c>") == "a_b _c_"


def test_pieces_hold_every_row_in_order_and_fit_into_a_request():
    rows = [["x" * (i % 700), *range(i % 40)] for i in range(6_000)]
    found = list(pieces(iter(rows)))
    assert [row for piece in found for row in piece] == rows
    for piece in found:
        assert len(piece) <= PIECE_ROWS
        assert sum(len(row) + 1 for row in piece) <= PIECE_VALUES + 41
        assert sum(len(str(row)) for row in piece) < 2 * PIECE_BYTES
