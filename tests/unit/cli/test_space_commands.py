"""`nas space` without a service: exit codes, JSON lines in and out, errors that say what, where and what is allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas_service.cli.fronts import front_row, with_interval
from nas_service.cli.search_request import objective, request_from
from nas_service.cli.space import genes_of_line
from nas_service.errors import InvalidInput
from search_spaces.library_index import load_library


def nas(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas_service.cli.main", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_samples_are_priced_as_they_are_printed() -> None:
    drawn = nas("space", "sample", "digits-mobile", "--n", "3", "--seed", "4")
    lines = drawn.stdout.splitlines()
    assert len(lines) == 3
    assert len({json.loads(line)["hash"] for line in lines}) == 3
    priced = nas("space", "cost", "digits-mobile", stdin=drawn.stdout + '\n{"choices": {"stage0.depth": 99}}\n')
    costs = [json.loads(line) for line in priced.stdout.splitlines()]
    assert [set(cost) for cost in costs] == [{"macs", "params", "activations", "peak_activation_bytes"}] * 3
    assert priced.returncode == 2
    assert "line 5 is no architecture of digits-mobile" in priced.stderr
    assert "/stage0.depth: 99 is no option" in priced.stderr


@pytest.mark.parametrize("line", ["no json", "[1]", '{"choices": 3}', "9" * 5_000])
def test_a_line_that_is_no_architecture_is_told_by_its_number(line: str) -> None:
    with pytest.raises(InvalidInput, match="line 7"):
        genes_of_line(load_library("digits-mobile"), line, 7)


def test_a_wrong_document_names_the_place_and_exits_with_2(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("language_version: 1\nname: x\nnetwork: [{blok: conv}]\n")
    done = nas("space", "lint", str(wrong))
    assert done.returncode == 2
    assert "/network/0" in done.stderr
    assert "block" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("space", "lint", "no-such-family"), ("space", "nonsense"), ("search", "create", "-f", "absent.yaml")]
)
def test_usage_errors_exit_with_2_and_without_a_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = nas(*arguments)
    assert done.returncode in (2, 4)
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_key_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.delenv("NAS_API_KEY", raising=False)
    done = nas("search", "list")
    assert done.returncode == 4
    assert "NAS_API_KEY" in done.stderr


def test_objectives_are_written_as_text() -> None:
    assert objective("accuracy_top1") == {"metric": "accuracy_top1"}
    assert objective("latency_ms@local-cpu<2") == {
        "metric": "latency_ms",
        "device": "local-cpu",
        "constraint": {"maximum": 2.0},
    }
    with pytest.raises(InvalidInput, match="no number"):
        objective("macs<many")


def test_a_request_file_must_hold_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text("- 1\n")
    with pytest.raises(InvalidInput, match="one mapping"):
        request_from(file)


def test_intervals_contain_the_share_and_shrink_with_n() -> None:
    few, many = with_interval(0.9, 10), with_interval(0.9, 1000)
    assert few is not None
    assert many is not None
    bounds = [[float(part) for part in text.split("[")[1].rstrip("]").split("-")] for text in (few, many)]
    assert all(low < 0.9 < high for low, high in bounds)
    assert bounds[0][1] - bounds[0][0] > 5 * (bounds[1][1] - bounds[1][0])


def test_a_front_row_without_measurement_shows_none() -> None:
    row = front_row({"number": 3, "id": "tri_x", "accuracy_top1": 0.5, "metrics": {}, "macs": 10, "params": 2})
    assert row["latency ms"] is None
    assert row["accuracy test"] is None
