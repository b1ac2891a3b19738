"""The jobs on text: masked and causal language models from training to scores, and lengths that are a choice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest_text import ingest_text
from nas_service.datasets.store import DatasetStore
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from tests.support.texts import write_questions, write_story
from workers.context import WorkContext
from workers.evaluate import evaluate
from workers.training.train_network import train_network
from workers.training.train_supernet import train_supernet

RECIPE = {
    "name": "sandwich",
    "num_steps": 12,
    "num_random": 1,
    "batch_size": 16,
    "optimiser": "adamw",
    "learning_rate": 0.005,
    "warmup_steps": 2,
    "curve_every_steps": 12,
}
CHOSEN_LENGTH = """
language_version: 1
name: chosen-length
task: {kind: causal_lm}
input: {length: {one_of: [8, 24]}, vocabulary: {data: 50}}
network:
  - {block: token_embedding, name: embedding, features: 16, vocabulary: "=input.vocabulary"}
  - {block: self_attention, name: attention, heads: 2, head_dim: 8, causal: true}
  - {block: feed_forward, name: mlp, mid: {one_of: [16, 32]}}
  - {block: token_norm, name: norm}
  - {block: language_head, name: head, vocabulary: "=input.vocabulary"}
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def story(artifacts: Path) -> Dataset:
    dataset = build_dataset("story", ingest_text(write_story(artifacts / "story.txt", 150), length=24))
    DatasetStore(artifacts / "datasets").write(dataset)
    return dataset


def bound(space: SearchSpace, dataset: Dataset) -> SearchSpace:
    classes = len(dataset.classes) if space.program.task.endswith("classification") else None
    return space.bind(classes=classes, input=dataset.info["input"])


def job(space: SearchSpace, dataset: Dataset, name: str, **more: Any) -> dict[str, Any]:
    return {
        "supernet_id": name,
        "epoch": 1,
        "space": dict(space.document.to_json()),
        "dataset": dataset.fingerprint,
        "recipe": RECIPE,
        "seed": 0,
        "checkpoint_dir": f"supernets/{name}",
        **more,
    }


def scores(space: SearchSpace, dataset: Dataset, trained: dict[str, Any], genes: list, root: Path) -> list[dict]:
    payload = {
        "supernet": {"id": space.name, "checkpoint": trained["checkpoint"]},
        "space": dict(space.document.to_json()),
        "dataset": dataset.fingerprint,
        "split": "search",
        "trials": [{"id": str(i), "genes": [int(gene) for gene in row]} for i, row in enumerate(genes)],
    }
    results = evaluate(payload, WorkContext(root))["results"]
    assert all("error" not in result for result in results), results
    return [result["metrics"] for result in results]


@pytest.mark.parametrize("family", ["bert-tiny", "gpt-tiny"])
def test_language_models_learn_resume_and_are_finetuned(artifacts: Path, story: Dataset, family: str) -> None:
    space = bound(load_library(family), story)
    whole = train_supernet(job(space, story, family), WorkContext(artifacts))
    first = train_supernet(job(space, story, f"{family}-a", recipe={**RECIPE, "num_steps": 1}), WorkContext(artifacts))
    assert whole["curve"][0]["loss"] < first["curve"][0]["loss"] - 0.3
    answers = iter([False] * 4 + [True])
    stopping = WorkContext(artifacts, should_stop=lambda: next(answers))
    assert train_supernet(job(space, story, f"{family}-b"), stopping)["interrupted"]
    again = train_supernet(job(space, story, f"{family}-b", epoch=2), WorkContext(artifacts))
    genes = [space.largest(), *space.sample(1, np.random.default_rng(0))]
    metrics = scores(space, story, whole, genes, artifacts)
    assert metrics == scores(space, story, again, genes, artifacts)  # to the last bit, masks included
    payload = {
        "network_id": "net",
        "epoch": 1,
        "space": dict(space.document.to_json()),
        "genes": space.smallest().tolist(),
        "dataset": story.fingerprint,
        "mode": "finetune",
        "recipe": {"name": "alone", "num_steps": 4, "batch_size": 16, "optimiser": "adamw", "learning_rate": 0.002},
        "seed": 0,
        "num_seeds": 2,
        "checkpoint_dir": f"networks/{family}",
        "supernet": {"id": family, "checkpoint": whole["checkpoint"]},
    }
    found = train_network(payload, WorkContext(artifacts))
    losses = [seed["metrics"]["select"]["loss"] for seed in found["seeds"]]
    assert found["metrics"]["select"]["loss"] == min(losses)
    assert found["metrics"]["test"]["perplexity"] > 1.0


def test_a_length_is_a_choice_like_any_other(artifacts: Path, story: Dataset) -> None:
    space = bound(SearchSpace.from_document(CHOSEN_LENGTH), story)
    assert {int(space.resolve(g).input_shape.length) for g in (space.largest(), space.smallest())} == {8, 24}  # type: ignore[union-attr]
    trained = train_supernet(job(space, story, "length"), WorkContext(artifacts))
    long, short = scores(space, story, trained, [space.largest(), space.smallest()], artifacts)
    assert long["num_samples"] > 2.5 * short["num_samples"]


def test_labelled_text_serves_language_models(artifacts: Path) -> None:
    path = write_questions(artifacts / "questions.jsonl", 200)
    dataset = build_dataset("questions", ingest_text(path, text="text", label="kind", length=12))
    DatasetStore(artifacts / "datasets").write(dataset)
    space = bound(load_library("bert-tiny"), dataset)
    trained = train_supernet(job(space, dataset, "labelled", recipe={**RECIPE, "num_steps": 2}), WorkContext(artifacts))
    (found,) = scores(space, dataset, trained, [space.smallest()], artifacts)
    assert 0 < found["num_samples"] < 0.4 * len(dataset.indices("search")) * 12
