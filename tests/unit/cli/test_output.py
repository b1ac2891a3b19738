"""What a command prints: the line of a search, values as people read them, errors said once."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest
import yaml

from nas_service.cli import output
from nas_service.cli.failures import SchemaMismatch, guarded
from nas_service.cli.fronts import print_front
from nas_service.cli.output import Format, ListFormat, print_document, print_rows, show
from nas_service.cli.searches import LISTED, status_line
from nas_service.client import ApiError, Unreachable
from nas_service.datasets.errors import DatasetError
from nas_service.errors import InvalidInput, Problem, allowed


def test_a_failed_search_says_why():
    search = {"name": "one", "state": "failed", "num_told": 5, "error": {"reason": "no_result", "message": "no trial"}}
    assert status_line(search) == "one: failed | 5 trials | no trial"
    halved = {"name": "one", "state": "succeeded", "num_told": 100, "full_evaluations": 31.25}
    assert status_line(halved) == "one: succeeded | 100 trials (cost of 31.25 full ones)"
    warned = {"name": "one", "state": "succeeded", "num_told": 5, "warnings": [{"code": "guessing"}]}
    assert status_line(warned) == "one: succeeded | 5 trials | warning: guessing"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ([], "-"),
        (2.000000000000001, "2"),
        (True, "True"),
        ("2026-11-21T03:51:08.298508Z", "2026-11-21 03:51"),
        (datetime(2026, 11, 21, 3, 51, 8, tzinfo=UTC), "2026-11-21 03:51"),
        (("search:read", "admin"), "search:read, admin"),
        ({"macs": {"minimum": 1, "median": 2.0000000001}}, "macs: {minimum: 1, median: 2.0}"),
        ({"trials": 3, "wall_s": None}, "trials: 3\nwall_s: -"),
        ("of 2026-11-21T03:51", "of 2026-11-21T03:51"),
    ],
)
def test_values_as_people_read_them(value, text):
    assert show(value) == text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_lists_fit_the_terminal_and_keep_ids_whole(monkeypatch, capsys, width):
    monkeypatch.setattr(output.out, "_width", width)
    name = "srch_01a1fc3ab4316e5ea73c6955af166298"
    row = {"id": name, "name": "one of [b]mine", "state": "succeeded", "num_told": 100_000}
    print_rows([row | {"created_at": "2026-11-21T03:51:08.298508Z"}], [*row, "created_at"], ListFormat.table)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    for part in (name, "[b]mine", "succeeded", "100000", "2026-11-21"):
        assert part in text


def test_a_front_shows_what_was_measured_and_fits_eighty_columns(monkeypatch, capsys):
    monkeypatch.setattr(output.out, "_width", 80)
    member = {"number": 7, "id": "tri_x", "accuracy_top1": 0.5, "metrics": {"num_samples": 226}, "macs": 1, "params": 2}
    found = {"stage": "final", "axes": ["accuracy_top1"], "members": [member], "hypervolume": 1.0}
    print_front(found, ListFormat.table)
    assert "latency" not in capsys.readouterr().out
    print_front(
        found | {"members": [member | {"latency_ms": 1.5, "latency_p10_ms": 1, "latency_p90_ms": 2}]}, ListFormat.table
    )
    text = capsys.readouterr().out
    assert "1.500 [1.000-2.000]" in text
    assert "0.5000 [0.435-0.565]" in text


def test_a_list_of_searches_fits_eighty_columns_without_broken_words(monkeypatch, capsys):
    monkeypatch.setattr(output.out, "_width", 80)
    row = {"id": "srch_" + "0" * 32, "name": "digits-mobile on digits", "state": "succeeded", "num_told": 100_000}
    print_rows([row | {"created_at": "2026-11-21T15:34:00Z"}], LISTED, ListFormat.table)
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in ("created", "digits-mobile", "2026-11-21", "15:34", "100000", row["id"]):
        assert re.search(rf"(^| ){word}( |$)", text, re.MULTILINE), word


def test_a_narrow_front_keeps_what_the_search_optimises(monkeypatch, capsys):
    test = {"perplexity": 12.5, "accuracy_top1": 0.25, "num_samples": 226}
    metrics = {"perplexity": 11.25, "num_samples": 226, "activations": 987_654_321, "test": test}
    member = {"number": 7, "id": "tri_x", "accuracy_top1": 0.5, "macs": 123_456_789, "params": 1_234_567}
    timed = {"metrics": metrics, "latency_ms": 1.5, "latency_p10_ms": 1.0, "latency_p90_ms": 2.0}
    found = {"stage": "final", "axes": ["perplexity", "params", "activations"], "members": [member | timed]}
    least = ["macs", "latency ms"]
    for width, hidden in ((80, least), (56, ["accuracy select", "accuracy test", *least])):
        monkeypatch.setattr(output.out, "_width", width)
        print_front(found, ListFormat.table)
        told = capsys.readouterr()
        line = next(line for line in told.out.splitlines() if "11.25" in line)
        assert re.findall(r"\S+", line)[:5] == ["7", "11.25", "12.5", "1234567", "987654321"]
        assert f"not shown in {width} columns: {', '.join(hidden)}; -o csv has all" in told.err
    monkeypatch.setattr(output.out, "_width", 80)
    scored = {"f1_macro": 0.826895, "num_samples": 684, "test": {"f1_macro": 0.78131, **test, "num_samples": 681}}
    text = found | {"axes": ["f1_macro", "macs"], "members": [member | {"metrics": scored}]}
    print_front(text, ListFormat.table)
    assert {"123456789", "1234567"} <= set(capsys.readouterr().out.split())  # nothing is cut off
    print_front(found | {"axes": ["accuracy_top1", "params"]}, ListFormat.table)
    told = capsys.readouterr()
    assert re.search(r" 1234567 +123456789 ", told.out)
    assert told.err == ""
    monkeypatch.setattr(output.out, "_width", 56)
    looked_up = {"number": 7, "id": "tri_" + "0" * 32, "metrics": dict.fromkeys("abcd", 1234567.5)}
    found |= {"stage": "search", "axes": list("abcd"), "members": [looked_up], "contributions": [1.5]}
    print_front(found | {"num_evaluations": 9}, ListFormat.table)
    told = capsys.readouterr()
    assert told.out.count("1.23457e+0") == 4
    assert "not shown in 56 columns: id, adds" in told.err


def test_an_error_with_one_finding_is_said_once(capsys):
    def fail():
        raise InvalidInput.at("/dataset", "there is none", suggestion=allowed("digit", ["pets", "digits"]))

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "nas: /dataset: there is none (did you mean 'digits'? allowed: pets, digits)\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (PermissionError(13, "Permission denied", "/root/a.yaml"), 2, "/root/a.yaml: Permission denied"),
        (IsADirectoryError(21, "Is a directory", "here"), 2, "here: Is a directory"),
        (DatasetError("a.csv", "has no rows", "at least one"), 2, "a.csv"),
        (SchemaMismatch("nas migrate"), 3, "nas migrate"),
        (Unreachable("no answer"), 7, "is the service running?"),
        (KeyboardInterrupt(), 130, "interrupted"),
        *(
            (ApiError({"status": status, "detail": "told"}), code, "told")
            for status, code in {
                400: 2, 401: 4, 403: 4, 404: 5, 409: 6, 412: 6, 413: 2, 422: 2, 428: 6, 429: 7, 500: 1, 503: 7
            }.items()
        ),
    ],
)  # fmt: skip
def test_each_kind_of_failure_has_its_exit_code(capsys, error, code, told):
    def fail():
        raise error

    assert guarded(fail) == code
    assert told in capsys.readouterr().err


def test_several_findings_are_listed(capsys):
    def fail():
        raise InvalidInput("two things", problems=(Problem("/a", "x", "first"), Problem("/b", "x", "second")))

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "nas: two things\n  /a: first\n  /b: second\n"


def test_lists_as_csv_have_a_line_each_and_leave_out_what_has_parts(capsys):
    rows = [
        {"name": 'a "b", c\nd', "id": "1", "runtimes": ["torch", "onnxruntime"], "spec": {"a": 1}, "share": 0.1},
        {"name": "ü", "id": "2", "runtimes": [], "spec": None, "share": None, "only here": 3},
    ]
    print_rows(rows, ["id", "name"], ListFormat.csv)
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert found == [
        {"id": "1", "name": 'a "b", c\nd', "runtimes": "torch onnxruntime", "share": "0.1", "only here": ""},
        {"id": "2", "name": "ü", "runtimes": "", "share": "", "only here": "3"},
    ]


def test_yaml_has_all_that_json_has(capsys):
    value = {"at": datetime(2026, 11, 21, tzinfo=UTC), "n": [1, {"x": None}], "text": "yes: no\n", "ü": 1.5e-7}
    print_document(value, Format.yaml)
    told = yaml.safe_load(capsys.readouterr().out)
    assert told == value | {"at": "2026-11-21T00:00:00+00:00"}


def test_a_front_as_csv_has_its_axes(capsys):
    member = {"number": 7, "id": "tri_x", "accuracy_top1": None, "macs": 5, "metrics": {"valid_acc": 0.5}}
    found = {"stage": "search", "axes": ["valid_acc", "macs"], "members": [member], "contributions": [2.5]}
    print_front(found, ListFormat.csv)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row == {"number": "7", "id": "tri_x", "accuracy_top1": "", "macs": "5", "adds": "2.5", "valid_acc": "0.5"}
    print_front(found | {"members": [member | {"metrics": {"test": {"accuracy_top1": 0.25}}}]}, ListFormat.csv)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["test_accuracy_top1"] == "0.25"


def test_a_list_of_findings_is_not_headed_by_the_first_of_them(capsys):
    def fail():
        raise InvalidInput("/a: first", problems=(Problem("/a", "x", "first"), Problem("/b", "x", "second")))

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "nas: 2 things are wrong\n  /a: first\n  /b: second\n"


@pytest.mark.parametrize("given", ["acc", "accuracy", "ACCURACY", "acuracy", "accuracy_top5"])
def test_a_name_that_begins_like_the_given_one_is_meant(given):
    assert allowed(given, ["loss", "macs", "accuracy_top1"]).startswith("did you mean 'accuracy_top1'?")
    assert allowed("zzz", ["loss"]) == "allowed: loss"


def test_many_allowed_names_end_with_a_whole_one():
    text = allowed("nam", [f"name-{i:03d}" for i in range(60)])
    assert text.startswith("did you mean 'name-")
    assert text.endswith("name-039, ...")
