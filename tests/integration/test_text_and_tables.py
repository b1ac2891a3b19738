"""Searches over text, rows of numbers and images of families: from a file to a network that predicts by itself."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_wine
from torch.utils.flop_counter import FlopCounterMode

from nas_service.cli.failures import guarded
from nas_service.cli.main import app
from nas_service.control.create import create_search
from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.control.spaces import store_space
from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest import READERS, detect_format
from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, EvaluatorSpec, Finalists, MethodChoice, Objective, SearchSpec
from nas_service.errors import InvalidInput
from nas_service.storage import datasets, exports, searches, supernets
from nas_service.storage.session import run_in_transaction
from search_spaces.library_index import load_library
from tests.support.searches import ACCURACY, MACS, search_of, trials_of
from tests.support.texts import write_questions, write_story
from tests.unit.export.trained import importing
from workers.dispatch import Dispatcher, Timing
from workers.local_pool import LocalPool
from workers.marker import FILE_NAME

PERPLEXITY = Objective("perplexity", "minimize")
F1 = Objective("f1_macro", "maximize")
PARAMS = Objective("params", "minimize")
IMAGE_FAMILIES = ("darts-cell", "nas-bench-macro", "pooling-resnet20")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / FILE_NAME).write_text("m")
    return folder


@pytest.fixture(scope="module")
def dispatcher(engine, artifacts):
    pool = LocalPool(artifacts, "m", num_slots=1)
    yield Dispatcher(engine, pool, Timing())
    pool.close()


def register(engine, artifacts: Path, name: str, path: Path, **options) -> Dataset:
    kind = "text" if "text" in options else detect_format(path)
    dataset = build_dataset(name, READERS[kind](path, **options))
    DatasetStore(artifacts / "datasets").write(dataset)
    run_in_transaction(engine, lambda session: datasets.register(session, name=name, manifest=dict(dataset.info)))
    return dataset


def write_colours(path: Path) -> Path:
    """120 images of 8 x 8 pixels, each with one colour at its brightest: its class."""
    x, y = np.random.default_rng(0).integers(0, 255, (120, 8, 8, 3), dtype=np.uint8), np.arange(120) % 3
    x[np.arange(120), :, :, y] = 255
    np.savez(path, x=x, y=y)
    return path


def spec_of(session, family: str, dataset: str, objectives: tuple[Objective, ...], steps: int) -> SearchSpec:
    return SearchSpec(
        name=f"{family} on {dataset}",
        space_id=store_space(session, load_library(family)),
        dataset_id=datasets.get(session, dataset).id,
        objectives=objectives,
        evaluator=EvaluatorSpec(
            "supernet",
            MethodChoice("sandwich", {"num_steps": steps, "num_random": 1, "curve_every_steps": steps, "threads": 1}),
        ),
        strategy=MethodChoice("nsga2", {}),
        budget=Budget(trials=8),
        finalists=Finalists(count=2),
        parallelism=4,
        seed=3,
    )


def until(dispatcher: Dispatcher, condition, timeout_s: float = 200.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not done in time"
        dispatcher.step()


def searched(engine, dispatcher, family: str, dataset: str, objectives: tuple[Objective, ...], steps: int) -> list:
    """The members of the final front, best first."""
    search_id = run_in_transaction(
        engine,
        lambda session: create_search(session, spec_of(session, family, dataset, objectives, steps), Path("no-tables")),
    )
    until(dispatcher, lambda: search_of(engine, search_id).state in ("succeeded", "failed"))
    search = search_of(engine, search_id)
    assert search.state == "succeeded", search.error
    assert [trial.state for trial in trials_of(engine, search_id)] == ["succeeded"] * 8
    recipe = run_in_transaction(engine, lambda session: supernets.get(session, search.supernet_id).recipe)
    assert recipe["optimiser"] == ("sgd" if family in IMAGE_FAMILIES else "adamw")  # what suits, as nothing was said
    return run_in_transaction(engine, lambda session: read_front(session, search_id, "final").points)


def exported(engine, dispatcher, artifacts: Path, trial) -> Path:
    export = run_in_transaction(engine, lambda session: request_export(session, trial.search_id, trial.id))

    def now():
        return run_in_transaction(engine, lambda session: exports.get(session, export.id))

    until(dispatcher, lambda: now().state in ("ready", "failed"))
    assert now().state == "ready", now().error
    return artifacts / now().path


def predict(folder: Path, *arguments: str) -> list[str]:
    """Lines of the exported predict.py, run by itself."""
    command = [sys.executable, "-B", str(folder / "predict.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_text_classification(engine, dispatcher, artifacts, tmp_path) -> None:
    path = write_questions(tmp_path / "questions.jsonl")
    register(engine, artifacts, "questions", path, text="text", label="kind", length=12)
    best = searched(engine, dispatcher, "text-tiny", "questions", (F1, MACS), 60)[0]
    assert best.metrics["f1_macro"] > 0.8
    assert best.metrics["test"]["f1_macro"] > 0.8
    folder = exported(engine, dispatcher, artifacts, best)
    assert json.loads((folder / "preprocess.json").read_text())["tokenizer"]["length"] == 12
    lines = predict(folder, "Who will find the boats near the castle on day 12?", "Where did anna hide 40 stones?")
    assert [line.split(" ")[0] for line in lines] == ["person", "place"]


@pytest.mark.slow
def test_causal_language_model(engine, dispatcher, artifacts, tmp_path, monkeypatch) -> None:
    dataset = register(engine, artifacts, "story", write_story(tmp_path / "story.txt", 300), length=32)
    best = searched(engine, dispatcher, "gpt-tiny", "story", (PERPLEXITY, PARAMS), 30)[0]
    guessing = dataset.tokenizer.vocabulary
    assert 1.0 < best.metrics["perplexity"] < 0.6 * guessing
    assert best.metrics["perplexity"] == pytest.approx(math.exp(best.loss))
    manifest = json.loads((exported(engine, dispatcher, artifacts, best) / "manifest.json").read_text())
    assert manifest["metrics"]["test"]["perplexity"] == pytest.approx(best.metrics["test"]["perplexity"], rel=1e-3)
    assert manifest["parity"]["max_abs_difference_onnx"] < 1e-3
    folder = artifacts / "exports" / manifest["export_id"] / "1"
    (line,) = predict(folder, "Anna went to the ", "--tokens", "20")
    assert line.startswith("Anna went to the ")
    assert len(line) > 30
    with importing(folder, monkeypatch) as predict_py:  # in another process, with the defaults as they are stated
        assert predict_py.continue_text(predict_py.load_model(), "Anna went to the ", 20, 0.8, 0) == line


@pytest.mark.slow
def test_rows_of_numbers(engine, dispatcher, artifacts, tmp_path) -> None:
    wine = load_wine()
    with open(tmp_path / "wine.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(name.replace("/", "_") for name in wine.feature_names), "cultivar"])
        writer.writerows([[*row, f"c{label}"] for row, label in zip(wine.data, wine.target, strict=True)])
    dataset = register(engine, artifacts, "wine", tmp_path / "wine.csv", label="cultivar")
    best = searched(engine, dispatcher, "digits-mlp", "wine", (ACCURACY, MACS), 80)[0]
    assert best.accuracy_top1 > 0.8
    folder = exported(engine, dispatcher, artifacts, best)
    x, y = dataset.arrays("test")
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(",".join(map(str, row.tolist())) + "\n" for row in x))
    found = [line.split(": ")[1].split(" ")[0] for line in predict(folder, str(rows))]
    correct = sum(a == dataset.classes[b] for a, b in zip(found, y.tolist(), strict=True))
    assert correct == best.metrics["test"]["num_correct"]


@pytest.mark.slow
@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_families_made_for_larger_images(engine, dispatcher, artifacts, tmp_path, family) -> None:
    register(engine, artifacts, f"colours for {family}", write_colours(tmp_path / "colours.npz"))
    best = searched(engine, dispatcher, family, f"colours for {family}", (ACCURACY, MACS), 2)[0]
    folder = exported(engine, dispatcher, artifacts, best)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parity"]["max_abs_difference_supernet"] < 1e-4
    source = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.Model().eval()(torch.zeros(1, 3, 8, 8))
    assert counter.get_total_flops() / 2 == manifest["costs"]["macs"] == best.macs
    Image.new("RGB", (8, 8), (255, 90, 90)).save(tmp_path / "0.png")
    (line,) = predict(folder, str(tmp_path / "0.png"))
    assert line.split(" ")[1] in {"0", "1", "2"}


@pytest.mark.parametrize(
    ("family", "dataset", "objective", "message"),
    [
        ("text-tiny", "unlabelled", F1, "no labels"),
        ("gpt-tiny", "unlabelled", F1, "causal_lm have no f1_macro"),
        ("digits-mobile", "unlabelled", ACCURACY, "no labels"),
        ("text-tiny", "labelled", PERPLEXITY, "have no perplexity"),
        ("vit-resnas-tiny", "images", ACCURACY, "patch 7 must divide the 4 x 4 input"),
        ("mlp-elastic", "labelled", ACCURACY, "input (rows of numbers) than the data set has (token sequences)"),
    ],
)
def test_what_does_not_fit_is_refused(engine, artifacts, tmp_path, family, dataset, objective, message) -> None:
    if dataset == "images":
        register(engine, artifacts, dataset, write_colours(tmp_path / "colours.npz"))
    elif dataset == "labelled":
        register(engine, artifacts, dataset, write_questions(tmp_path / "q.jsonl"), text="text", label="kind")
    else:
        register(engine, artifacts, dataset, write_story(tmp_path / "s.txt"))
    before = run_in_transaction(engine, lambda session: len(searches.page(session, limit=100)))
    with pytest.raises(InvalidInput) as caught:
        run_in_transaction(
            engine,
            lambda session: create_search(
                session, spec_of(session, family, dataset, (objective, MACS), 5), Path("no-tables")
            ),
        )
    (found, *_) = [problem for problem in caught.value.problems if message in problem.message]
    if dataset == "images":
        assert found.suggestion == "the document was written for resolution 224: nas data add --size 224"
    assert run_in_transaction(engine, lambda session: len(searches.page(session, limit=100))) == before


def test_data_sets_of_text_are_added_by_command(database_url, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("NAS_DATABASE_URL", database_url)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    write_questions(tmp_path / "asked.jsonl", 200)
    write_story(tmp_path / "told.txt", 100)

    def nas_data_add(*arguments: str) -> int:
        return guarded(lambda: app(["data", "add", *arguments, "--root", str(tmp_path)], standalone_mode=False))

    added = nas_data_add("asked", str(tmp_path / "asked.jsonl"), "--text", "text", "--label", "kind", "-o", "json")
    assert added == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["num_samples"] == 200
    stored = DatasetStore(tmp_path / "home" / "artifacts" / "datasets").load(manifest["fingerprint"])
    assert stored.classes == ("number", "person", "place")
    assert nas_data_add("told", str(tmp_path / "told.txt"), "--length", "16", "--tokenizer", "byte") == 0
    for wrong, message in (
        (("asked.jsonl", "--label", "kind", "--length", "8"), "--length"),
        (("asked.jsonl",), "--label"),
        (("told.txt", "--tokenizer", "sentence"), "word, character, byte"),
    ):
        assert nas_data_add("wrong", str(tmp_path / wrong[0]), *wrong[1:]) == 2
        assert message in capsys.readouterr().err
