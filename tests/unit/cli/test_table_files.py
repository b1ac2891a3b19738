"""Rows of CSV and Parquet files: numbers, truth values, what is missing, what does not belong."""

from __future__ import annotations

import pyarrow
import pyarrow.parquet
import pytest

from nas_service.cli.table import metric_of
from nas_service.cli.table_files import Columns, read_rows
from nas_service.client_rows import PIECE_BYTES, PIECE_ROWS, PIECE_VALUES, pieces
from nas_service.errors import InvalidInput

COLUMNS = Columns(("op", "width"), "epochs", None, ("acc", "ms"))
ROWS = [["conv 3x3", 8, 12, 71.5, None], ["none", 16, 200, None, 2.5], ["conv 3x3", 16, 200, "inf", 3]]


def test_csv_cells_become_what_they_spell(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "ms,op,extra,width,epochs,acc\n,conv 3x3,x,8,12,71.5\n2.5,none,x,16,200,NaN\n\n3,conv 3x3,x,16,200,inf\n"
    )
    assert list(read_rows(path, COLUMNS)) == ROWS


def test_parquet_values_keep_their_kind(tmp_path):
    path = tmp_path / "t.parquet"
    data = {
        "op": ["conv 3x3", "none", "conv 3x3"],
        "width": [8, 16, 16],
        "epochs": [12, 200, 200],
        "acc": [71.5, float("nan"), float("inf")],
        "ms": [None, 2.5, 3.0],
        "flag": [True, False, True],
    }
    pyarrow.parquet.write_table(pyarrow.table(data), path)
    assert list(read_rows(path, COLUMNS)) == ROWS
    truth = list(read_rows(path, Columns(("flag",), None, None, ("ms",))))
    assert truth[0][0] is True


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "op,width,acc,ms\n", "no column epochs"),
        ("t.csv", "", "empty"),
        ("t.csv", "op,width,epochs,acc,ms\na,1\n", "row 1: 2 cells under 5 columns"),
        ("t.parquet", "not parquet", "no Parquet file"),
        ("t.xlsx", "", "unknown kind"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidInput, match=said):
        list(read_rows(path, COLUMNS))


@pytest.mark.parametrize("text", ["acc", "acc:up:percent", "acc:maximize", ":maximize:percent"])
def test_a_metric_needs_column_goal_and_unit(text):
    with pytest.raises(InvalidInput, match="--metrics"):
        metric_of(text)
    assert metric_of("acc:max:percent") == {"name": "acc", "goal": "maximize", "unit": "percent"}


def test_pieces_hold_every_row_in_order_and_fit_into_a_request():
    rows = [["x" * (i % 700), *range(i % 40)] for i in range(6_000)]
    found = list(pieces(iter(rows)))
    assert [row for piece in found for row in piece] == rows
    for piece in found:
        assert len(piece) <= PIECE_ROWS
        assert sum(len(row) + 1 for row in piece) <= PIECE_VALUES + 41
        assert sum(len(str(row)) for row in piece) < 2 * PIECE_BYTES
