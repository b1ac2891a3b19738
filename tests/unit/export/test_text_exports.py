"""Exports of text networks: complete, and what predict.py says is what the network says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest_text import ingest_text
from nas_service.datasets.store import DatasetStore
from nas_service.datasets.tokenizer import MASK, PAD, SPECIALS
from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from tests.support.texts import write_questions, write_story
from tests.unit.export.trained import importing
from workers.context import WorkContext
from workers.export import export
from workers.training.checkpoint import write_checkpoint
from workers.training.optimise import named_tensors

COMMON = {"README.md", "architecture.json", "manifest.json", "model.onnx", "model.py", "model.safetensors"}
TEXT = {"predict.py", "preprocess.json", "tokenizer.py"}


def exported(root: Path, family: str, dataset: Dataset) -> tuple[Path, PlainNetwork]:
    """An untrained supernet's smallest architecture, exported by the job; and its network."""
    context = WorkContext(root)
    DatasetStore(context.datasets).write(dataset)
    space = load_library(family).bind(classes=len(dataset.classes) or None, input=dataset.info["input"])
    supernet = Supernet(space, seed=0)
    written = write_checkpoint(root / family, "step-00000001.1", {"model": named_tensors(supernet)}, {})
    reference = {"path": str(written.path.relative_to(root)), "sha256": written.sha256}
    genes = space.smallest()
    payload = {
        "export_id": family,
        "epoch": 1,
        "space": dict(space.document.to_json()),
        "genes": genes.tolist(),
        "dataset": dataset.fingerprint,
        "weights": {"supernet": {"id": family, "checkpoint": reference}},
    }
    folder = root / export(payload, context)["path"]
    module = build_plain(space.resolve(np.asarray(genes)))
    module.load_state_dict(load_file(folder / "model.safetensors"))
    return folder, module.eval()


def predict(folder: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-B", str(folder / "predict.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def story(root) -> Dataset:
    return build_dataset("story", ingest_text(write_story(root / "story.txt", 200), length=24))


def test_a_classifier_of_text(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_questions(root / "questions.jsonl", 300)
    dataset = build_dataset("questions", ingest_text(path, text="text", label="kind", length=12))
    folder, module = exported(root, "text-tiny", dataset)
    assert {file.name for file in folder.iterdir()} == COMMON | TEXT | {"classes.json"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"accuracy_top1", "f1_macro", "loss"} <= manifest["metrics"]["test"].keys()
    text = "How many horses did carla count?"
    with torch.inference_mode():
        ids = dataset.tokenizer.pad(dataset.tokenizer.encode(text))
        probabilities = module(torch.tensor([ids])).softmax(1)[0]
    best = int(probabilities.argmax())
    assert predict(folder, text) == [f"{dataset.classes[best]} {float(probabilities[best]):.4f}"]
    with importing(folder, monkeypatch) as predict_py:
        monkeypatch.setattr("sys.argv", ["predict.py", text, "--top", "9"])
        predict_py.main()
    assert len(capsys.readouterr().out.split(", ")) == 3


def test_a_causal_language_model(root: Path, story: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, module = exported(root, "gpt-tiny", story)
    assert {file.name for file in folder.iterdir()} == COMMON | TEXT
    readme = (folder / "README.md").read_text()
    assert "perplexity on test" in readme
    assert "outputs = model(to_input(texts))  # texts: a list of str" in readme
    text = "Emma went to the market to buy the apples."  # longer than what the network reads
    found = predict(folder, text, "--tokens", "2", "--temperature", "0")[0]
    ids = [story.tokenizer.tokens.index(letter) + len(SPECIALS) for letter in text]
    for _ in range(2):
        with torch.inference_mode():
            logits = module(torch.tensor([ids[-24:]]))[0, -1, len(SPECIALS) :]
        ids.append(int(logits.argmax()) + len(SPECIALS))
    assert found == story.tokenizer.decode(ids)
    # Texts shorter than what the network reads; hardly any temperature is none, much of it is chance.
    with torch.inference_mode():
        answers = {n: module(torch.tensor([ids[:n] + [PAD] * (24 - n)]))[0, :, len(SPECIALS) :] for n in range(1, 24)}
    with importing(folder, monkeypatch) as predict_py:
        model = predict_py.load_model()
        for n, answer in answers.items():
            expected = story.tokenizer.decode([*ids[:n], int(answer[n - 1].argmax()) + len(SPECIALS)])
            for temperature in (0.0, 1e-4):
                assert predict_py.continue_text(model, text[:n], 1, temperature, 0) == expected
        assert len({predict_py.continue_text(model, text[:5], 1, 100.0, seed) for seed in range(20)}) > 5
    assert any(answer[n - 1].argmax() != answer[-1].argmax() for n, answer in answers.items())


def test_a_masked_language_model(root: Path, story: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, module = exported(root, "bert-tiny", story)
    assert {file.name for file in folder.iterdir()} == COMMON | TEXT
    (line,) = predict(folder, "Emma we[MASK]t to")
    ids = story.tokenizer.pad(story.tokenizer.encode("Emma we[MASK]t to"))
    place = ids.index(MASK)
    with torch.inference_mode():
        probabilities = module(torch.tensor([ids]))[0, place, len(SPECIALS) :].softmax(0)
    best = int(probabilities.argmax())
    assert line == f"token {place}: {story.tokenizer.tokens[best]!r} {float(probabilities[best]):.4f}"
    with importing(folder, monkeypatch) as predict_py:
        monkeypatch.setattr("sys.argv", ["predict.py", "Emma went to"])
        with pytest.raises(SystemExit, match=r"^no \[MASK\]"):
            predict_py.main()
