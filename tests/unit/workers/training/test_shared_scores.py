"""Architectures scored with what they share computed once: the bits of each alone, whatever was scored before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.ingest import ingest_digits
from nas_service.datasets.ingest_text import ingest_text
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from tests.support.texts import write_questions
from tests.unit.workers.training.tiny import digits
from workers.training import shared_scores
from workers.training.data import DeviceData
from workers.training.scoring import Calibration, score_on
from workers.training.shared_scores import SharedScores

CPU = torch.device("cpu")
TWO_BATCHES = Calibration(num_samples=100, batch_size=64)


def population(space: SearchSpace, number: int = 4) -> list[np.ndarray]:
    """Two parents and their children."""
    rng = np.random.default_rng(0)
    parents = space.sample(2, rng)
    a, b = (parents[rng.integers(2, size=number - 2)] for _ in range(2))
    return [*parents, *space.mutate(space.crossover(a, b, rng), rng)]


def alone(supernet: Supernet, genes: np.ndarray, data: DeviceData, calibration: Calibration) -> dict[str, Any]:
    return score_on(supernet.extract(genes), data, "search", calibration)


@pytest.fixture(scope="module")
def data() -> DeviceData:
    return DeviceData(digits(), CPU)


def trained(space: SearchSpace) -> Supernet:
    """A supernet whose norms are no identities."""
    supernet = Supernet(space).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return supernet


@pytest.mark.parametrize("family", ["digits-mobile", "digits-cell", "digits-fabric", "digits-vit-stages"])
def test_scores_are_those_of_each_extracted_network_in_any_order(family: str, data: DeviceData) -> None:
    space = load_library(family).bind(classes=10, input=data.dataset.info["input"])
    supernet = trained(space)
    genes = population(space)
    expected = [alone(supernet, row, data, TWO_BATCHES) for row in genes]
    shared = SharedScores(supernet, data)
    assert [shared.score(row, "search", TWO_BATCHES) for row in genes] == expected
    assert [shared.score(row, "search", TWO_BATCHES) for row in genes[::-1]] == expected[::-1]
    other = Calibration(num_samples=80, batch_size=64)  # another split or calibration is never answered by what is kept
    assert shared.score(genes[0], "search", other) == alone(supernet, genes[0], data, other) != expected[0]
    assert shared.score(genes[0], "select", TWO_BATCHES)["num_samples"] != expected[0]["num_samples"]


def test_splits_and_resolutions_of_equal_number_are_told_apart() -> None:
    raw = ingest_digits()
    names = np.array((["train"] * 3 + ["search", "select", "test"]) * 300)[: len(raw.y)]
    data = DeviceData(build_dataset("even", replace(raw, split_names=names)), CPU)
    document = {
        "language_version": 1,
        "name": "two-resolutions",
        "task": {"kind": "image_classification", "classes": 10},
        "input": {"channels": 1, "resolution": {"one_of": [6, 8]}},
        "network": [
            {"block": "conv_bn_act", "name": "stem", "out": 4, "kernel": 3, "stride": 2, "activation": "relu"},
            {"block": "image_head", "name": "head", "out": 10},
        ],
    }
    space = SearchSpace.from_document(document)
    supernet = trained(space)
    shared, seen = SharedScores(supernet, data), []
    for row in space.enumerate():
        for split in ("search", "select", "test"):
            found = shared.score(row, split, TWO_BATCHES)
            assert found == score_on(supernet.extract(row), data, split, TWO_BATCHES)
            seen.append((found["num_samples"], found["loss"]))
    assert {number for number, _ in seen} == {len(data.dataset.indices("test"))}
    assert len(set(seen)) == 6


def test_a_layer_with_the_same_inputs_runs_once(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_library("digits-mobile").bind(classes=10, input=data.dataset.info["input"])
    shared, calls = SharedScores(trained(space), data), []
    monkeypatch.setattr(nn.Conv2d, "forward", counting(calls, nn.Conv2d.forward))
    shared.score(space.largest(), "search", TWO_BATCHES)
    assert len(calls) > 10
    calls.clear()
    first = shared.score(space.largest(), "search", TWO_BATCHES)
    assert calls == []
    shared.forget()
    assert shared.score(space.largest(), "search", TWO_BATCHES) == first
    assert len(calls) > 10


def counting(calls: list[nn.Module], forward: Any) -> Any:
    def call(self: nn.Module, x: torch.Tensor) -> Any:
        calls.append(self)
        return forward(self, x)

    return call


def test_little_memory_changes_no_score(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_library("digits-cell").bind(classes=10, input=data.dataset.info["input"])
    supernet, genes = trained(space), population(space)
    expected = [alone(supernet, row, data, TWO_BATCHES) for row in genes]
    monkeypatch.setattr(shared_scores, "MAX_KEPT_BYTES", 1 << 18)
    shared = SharedScores(supernet, data)
    assert [shared.score(row, "search", TWO_BATCHES) for row in genes] == expected
    assert 0 < shared._outputs._num_bytes <= 1 << 18
    monkeypatch.setattr(shared_scores, "MAX_ACTIVATION_BYTES", 0)
    shared = SharedScores(supernet, data)
    assert [shared.score(row, "search", TWO_BATCHES) for row in genes] == expected
    assert shared._outputs._num_bytes == 0


def test_statistics_of_a_layer_used_twice_are_those_of_all_its_calls(data: DeviceData) -> None:
    layer = {"block": "relu_conv_bn", "weights": "twice", "out": 4, "kernel": 3, "stride": 1}
    document = {
        "language_version": 1,
        "name": "twice",
        "task": {"kind": "image_classification", "classes": 10},
        "input": {"channels": 1, "resolution": 8},
        "network": [
            {"block": "conv_bn_act", "name": "stem", "out": 4, "kernel": 3, "stride": 1, "activation": "relu"},
            layer,
            layer,
            {"block": "image_head", "name": "head", "out": 10},
        ],
    }
    space = SearchSpace.from_document(document)
    supernet = trained(space)
    network = space.resolve(space.largest())
    assert network.nodes[1].key == network.nodes[2].key
    expected = alone(supernet, space.largest(), data, TWO_BATCHES)
    assert SharedScores(supernet, data).score(space.largest(), "search", TWO_BATCHES) == expected


def test_texts_are_scored_with_their_padding_masked(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "questions.jsonl", 200)
    data = DeviceData(build_dataset("questions", ingest_text(path, text="text", label="kind", length=80)), CPU)
    space = load_library("text-tiny").bind(classes=3, input=data.dataset.info["input"])
    supernet = trained(space)
    shared = SharedScores(supernet, data)
    for row in population(space):
        assert shared.score(row, "search", TWO_BATCHES) == alone(supernet, row, data, TWO_BATCHES)
