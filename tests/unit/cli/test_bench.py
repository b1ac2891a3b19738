"""`nas bench strategies` on the packaged table and on a file, in one process of its own as users run it."""

import csv
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from nas_service.cli.main import app, main
from nas_service.errors import InvalidInput
from nas_service.tables.benchmark import Outcome, paired_tests, summary

BOTH = "cifar10_test_e200,cifar10_pixel3_latency"


def bench(*options):
    result = CliRunner().invoke(app, ["bench", "strategies", *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["a", "b", "c", "loss", "cost"])
        rng = np.random.default_rng(0)
        for a in range(4):
            for b in range(4):
                for c in ("x", "y", "z"):
                    rows.writerow([a, b, c, round(float(10 - a * b + rng.random()), 4), a + b])
    return path


def test_a_file_is_searched_with_every_track_and_the_same_seeds_give_the_same(file, tmp_path):
    options = ["--table", str(file), "--choices", "a,b,c", "--metrics", "loss:minimize:nats,cost:minimize:ms"]
    options += ["--objectives", "loss,cost", "--strategies", "nsga2,random", "--seeds", "6"]
    options += ["--evaluations", "10,48", "-o", "json", "--plot", str(tmp_path / "curves.png")]
    found = json.loads(bench(*options))
    assert [row["strategy"] for row in found["results"]] == ["nsga2", "random"]
    for row in found["results"]:
        values = np.array(row["values"])
        assert values.shape == (6, 2)
        assert (values[:, 0] <= values[:, 1]).all()
        np.testing.assert_allclose(values[:, 1], 1.0)  # the whole table was evaluated
    assert {test["evaluations"] for test in found["tests"]} == {10, 48}
    assert (tmp_path / "curves.png").stat().st_size > 1000
    again = json.loads(bench(*options))
    assert [row["values"] for row in again["results"]] == [row["values"] for row in found["results"]]
    known = json.loads(bench(*options, "--track", "B"))
    assert known["settings"]["track"] == "B"


def test_one_objective_reports_another_metric_and_the_regret():
    options = ["--objectives", "cifar10_valid_e12", "--report", "cifar10_test_e200", "--track", "C"]
    found = json.loads(bench(*options, "--strategies", "random", "--seeds", "3", "--evaluations", "5,50", "-o", "json"))
    row = found["results"][0]
    assert 10 <= row["mean"][0] <= 94.5
    assert row["distance"][1] <= row["distance"][0]
    assert row["distance"][1] >= 0
    assert found["tests"] == []  # three seeds show nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--objectives", "accuracy"], "no metric 'accuracy'"),
        (["--objectives", BOTH, "--strategies", "best"], "no strategy 'best'"),
        (["--objectives", BOTH, "--strategies", "successive_halving:best"], "no strategy 'best' can be named here"),
        (["--objectives", BOTH, "--strategies", "nsga2:random"], "'nsga2:random': Extra inputs are not permitted"),
        (["--objectives", BOTH, "--track", "C"], "needs --report"),
        (["--objectives", "cifar10_test_e200", "--track", "B"], "two objectives"),
        (["--objectives", BOTH, "--evaluations", "0,ten"], "no list of numbers"),
        (["--objectives", BOTH, "--table", "rows.csv"], "rows.csv: no such file"),
    ],
)
def test_wrong_requests_say_what_is_wrong(options, message):
    with pytest.raises(InvalidInput, match=message):
        bench(*options)


def test_what_a_short_evaluation_costs_counts_and_only_full_ones_are_judged(tmp_path):
    """Half of the loss after 10 of 30 epochs: were short results judged, they would surpass the true front."""
    path = tmp_path / "curves.csv"
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["a", "b", "epochs", "loss", "cost"])
        for a, b in np.ndindex(6, 8):
            loss = 40 - a * b
            rows.writerows([[a, b, 10, loss / 2, a + b], [a, b, 30, loss, a + b]])
    options = ["--table", str(path), "--choices", "a,b", "--fidelity", "epochs"]
    options += [
        "--metrics",
        "loss:minimize:nats,cost:minimize:ms",
        "--seeds",
        "2",
        "--evaluations",
        "1,2,48,64",
        "-o",
        "json",
    ]
    names = ["random", "successive_halving", "successive_halving:nsga2"]
    found = json.loads(bench(*options, "--objectives", "loss,cost", "--strategies", ",".join(names)))
    assert [row["strategy"] for row in found["results"]] == names
    full, *halved = (np.array(row["values"]) for row in found["results"])
    assert (full[:, 0] > 0).all()
    np.testing.assert_allclose(full[:, 2], 1.0)  # 48 in full are all
    for values in halved:
        assert (values[:, 0] == 0).all()  # three short ones are spent, none is judged
        assert (values[:, 1] > 0).all()  # the best of them in full
        assert (np.diff(values, axis=1) >= 0).all()
        np.testing.assert_allclose(values[:, 3], 1.0)  # 48 short ones cost 16, then all in full
    single = json.loads(bench(*options, "--objectives", "loss", "--strategies", "successive_halving"))["results"][0]
    assert (single["mean"][0], single["distance"][0]) == (40, 35)  # nothing yet: the worst of the table
    assert (single["mean"][3], single["distance"][3]) == (5, 0)


def test_a_peer_is_a_column_and_one_whose_library_is_missing_says_so(file, monkeypatch, capsys):
    options = ["--table", str(file), "--choices", "a,b,c", "--metrics", "loss:minimize:nats,cost:minimize:ms"]
    options += ["--objectives", "loss,cost", "--strategies", "random", "--seeds", "2", "--evaluations", "48"]
    found = json.loads(bench(*options, "--peers", "pymoo-nsga2", "-o", "json"))
    assert [row["strategy"] for row in found["results"]] == ["random", "pymoo-nsga2"]
    np.testing.assert_allclose([row["mean"] for row in found["results"]], 1.0)
    monkeypatch.setitem(sys.modules, "pymoo", None)  # what an import sees where it is not installed
    monkeypatch.setattr(sys, "argv", ["nas", "bench", "strategies", *options, "--peers", "pymoo-nsga2"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "needs the library pymoo, which is not installed" in capsys.readouterr().err


def test_holm_corrects_all_comparisons_and_the_sign_is_that_of_the_first():
    def rows(values):
        return [Outcome([value], [0.0], 1.0) for value in values]

    better, worse = np.linspace(0.8, 0.9, 12), np.linspace(0.5, 0.6, 12) - 0.001 * np.arange(12) ** 2
    first, second = summary("a", rows(better), False), summary("b", rows(worse), False)
    same = summary("c", rows(better), False)
    tests = paired_tests([first, second, same], [50])
    assert tests[0]["difference"] == pytest.approx(float((better - worse).mean()), abs=1e-4)
    assert (tests[0]["wins"], tests[0]["losses"]) == (12, 0)
    assert tests[0]["p_holm"] == pytest.approx(2 * tests[0]["p"])
    assert tests[0]["p"] == pytest.approx(2 / 2**12)
    assert tests[1]["p_holm"] == 1.0
