"""Networks trained through torch.compile: the losses of plain training, or a plain word where nothing compiles."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_service.datasets.store import DatasetStore
from tests.unit.workers.training.tiny import digits
from workers.context import WorkContext
from workers.training.train_network import train_network

DOCUMENT: dict[str, Any] = {
    "language_version": 1,
    "name": "one-layer",
    "task": {"kind": "image_classification", "classes": 10},
    "input": {"channels": 1, "resolution": 8},
    "network": [
        {"block": "conv_bn_act", "name": "stem", "out": 4, "kernel": 3, "stride": 2, "activation": "relu"},
        {"block": "image_head", "name": "head", "out": 10},
    ],
}


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    DatasetStore(tmp_path / "datasets").write(digits())
    return tmp_path


def losses(artifacts: Path, compile: bool, num_steps: int = 40) -> list[float]:
    """Losses on the search split, the last one after the last step."""
    payload = {
        "network_id": "net",
        "epoch": 1,
        "space": DOCUMENT,
        "genes": [],
        "dataset": digits().fingerprint,
        "mode": "retrain",
        "recipe": {
            "name": "alone",
            "num_steps": num_steps,
            "warmup_steps": 1,
            "optimiser": "adamw",
            "learning_rate": 0.02,
            "curve_every_steps": 4,
            "compile": compile,
        },
        "seed": 0,
        "checkpoint_dir": f"networks/{compile}",
    }
    (seed,) = train_network(payload, WorkContext(artifacts))["seeds"]
    return [point["loss"] for point in seed["curve"]]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_as_the_same_network_does(artifacts: Path) -> None:
    torch._dynamo.reset()
    plain = losses(artifacts, compile=False)
    compiled = losses(artifacts, compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert plain[0] - plain[-1] > 0.01
    assert compiled == pytest.approx(plain, rel=1e-5)


def test_a_worker_without_a_compiler_says_so(artifacts: Path) -> None:
    torch._dynamo.reset()
    lacking = {"cpp.cxx": (None, "/no/such/compiler"), "force_disable_caches": True}
    with (
        torch._inductor.config.patch(lacking),
        pytest.raises(ValueError, match=r"cannot compile networks: .*C\+\+ compiler.*train without `compile`"),
    ):
        losses(artifacts, compile=True, num_steps=1)
