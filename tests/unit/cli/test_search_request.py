"""A search request from a file or from options: values, places of faults, spaces by path, parameters of recipes."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from nas_service.api.schemas import SearchIn
from nas_service.cli.failures import guarded
from nas_service.cli.request_file import request_of_file, with_lines
from nas_service.cli.search_request import parameter, request_from
from nas_service.cli.searches import create
from nas_service.client import ApiError
from nas_service.errors import InvalidInput
from search_spaces.errors import SpaceError
from search_spaces.library_index import library_text, load_library

REQUEST = """\
name: by file
space: digits-mlp
dataset: digits
objectives:
  - metric: accuracy_top1
  - {metric: macs, constraint: {maximum: 2e6}}
evaluator: {recipe: {name: sandwich, params: {learning_rate: 1e-06}}}
budget: {trials: 10}
"""


def test_numbers_are_those_of_documents(tmp_path):
    file = tmp_path / "request.yaml"
    file.write_text(REQUEST)
    body = request_of_file(file)
    assert body["objectives"][1]["constraint"] == {"maximum": 2e6}
    assert body["evaluator"]["recipe"]["params"] == {"learning_rate": 1e-6}
    file.write_text(json.dumps(body))
    assert request_of_file(file) == body
    file.write_text('{"a": 1e-06, "b": 2E6, "c": [1.0, "1e3"]}')
    assert request_of_file(file) == {"a": 1e-6, "b": 2e6, "c": [1.0, "1e3"]}


def test_a_space_is_a_family_an_id_or_a_document_beside_the_request(tmp_path):
    file, document = tmp_path / "request.yaml", tmp_path / "spaces" / "mine.yaml"
    document.parent.mkdir()
    document.write_text(library_text("digits-mlp"))
    stored = "spc_" + "0" * 32
    for space, reference in (
        ("digits-mlp", {"library": "digits-mlp"}),
        (stored, {"id": stored}),
        ("spaces/mine.yaml", {"document": load_library("digits-mlp").document.to_json()}),
        (str(document), {"document": load_library("digits-mlp").document.to_json()}),
        ("{library: digits-mlp}", {"library": "digits-mlp"}),
    ):
        file.write_text(REQUEST.replace("space: digits-mlp", f"space: {space}"))
        assert request_of_file(file)["space"] == reference
    file.write_text("space: digits-mlq")
    with pytest.raises(InvalidInput, match="at /space: 'digits-mlq' is neither") as caught:
        request_of_file(file)
    assert "did you mean 'digits-mlp'" in str(caught.value.problems[0].suggestion)
    document.write_text("language_version: 1\nname: x\nblock: 3\n")
    file.write_text("space: spaces/mine.yaml")
    with pytest.raises(SpaceError) as refused:
        request_of_file(file)
    assert ("/block", 3) in [(problem.pointer, problem.line) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [1, 2\nb: }", "line 2, column 2"),
        (b"a: \xff\xfe", "not a text in UTF-8"),
        (b"[1, 2]", "must hold one mapping"),
        (b"a: 1\na: 2", "the key 'a' appears twice"),
        (b"a: {b: .nan}", "at /a/b: NaN"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_where(tmp_path, capsys, content, told):
    file = tmp_path / "request.yaml"
    file.write_bytes(content)
    assert guarded(lambda: request_of_file(file)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nas: {file}")
    assert told in error


def test_the_example_of_the_readme_is_complete_and_the_one_of_the_help(tmp_path):
    (example,) = re.findall(r"```yaml\n(.+?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert textwrap.indent(example, "    ") in str(create.__doc__)
    file = tmp_path / "request.yaml"
    file.write_text(example)
    spec = SearchIn.model_validate(request_of_file(file)).to_spec("", "")
    assert spec.supernet.recipe.params["learning_rate"] == 0.002
    assert spec.objectives[1].constraint.maximum == 2e6


def test_what_the_api_finds_wrong_gets_its_line(tmp_path, capsys):
    file = tmp_path / "request.yaml"
    file.write_text(REQUEST)

    def refused():
        field = {"pointer": "/objectives/1/metric/deeper", "message": "is wrong"}
        problem = {"status": 422, "detail": "/objectives/1/metric/deeper: is wrong", "errors": [field]}
        raise with_lines(ApiError(problem), file)

    assert guarded(refused) == 2
    assert capsys.readouterr().err == "nas: line 6, /objectives/1/metric/deeper: is wrong\n"


def test_parameters_of_a_recipe():
    body = request_from(recipe_params=["learning_rate=2e-3", "optimiser = adamw", "augmentation={shift_pixels: 1}"])
    recipe = SearchIn.model_validate(body).to_spec("", "").supernet.recipe
    assert recipe.name == "sandwich"
    assert (recipe.params["learning_rate"], recipe.params["optimiser"]) == (0.002, "adamw")
    assert recipe.params["augmentation"]["shift_pixels"] == 1
    assert request_from(recipe="uniform")["evaluator"]["recipe"] == {"name": "uniform", "params": {}}
    assert "evaluator" not in request_from()
    with pytest.raises(InvalidInput, match="trains nothing"):
        request_from(table="cells", objectives=["acc"], recipe_params=["learning_rate=1"])
    for text in ("learning_rate", "=3", "a=", "a=[1"):
        with pytest.raises(InvalidInput, match="--recipe-param"):
            parameter(text)
