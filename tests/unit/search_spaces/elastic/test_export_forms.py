"""What leaves the project: generated source that needs torch alone, and ONNX with a dynamic batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from search_spaces.elastic.codegen import plain_source
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from tests.contracts.elastic_contract import bound, network_input
from tests.unit.search_spaces.test_documents import document
from workers.measure.onnx_file import write_onnx

FAMILIES = (
    ("digits-mobile", ()),
    ("digits-vit", ()),
    ("digits-vit-stages", ()),
    ("digits-hybrid", ()),
    ("digits-fabric", ()),
    ("flexibert", (("length", 6), ("vocabulary", 20))),
    ("gpt-tiny", (("length", 6), ("vocabulary", 20))),
    ("nasbench201-cell", (("resolution", 8),)),
    ("darts-cell", (("resolution", 8),)),
    ("nas-bench-macro", (("resolution", 16),)),
    ("plain-cnn", (("resolution", 8),)),
    ("resnet-cifar", (("resolution", 8),)),
    ("digits-mlp", ()),
    ("table-transformer", (("features", 5),)),
)
DOCUMENTS = (  # of blocks that no built-in family has
    ("u-shaped", 3, {"channels": 1, "height": 12, "width": 12}),
    ("windows-and-convolutions", 3, {"channels": 1, "height": 16, "width": 16}),
    ("parallel-lm", None, {"length": 6, "vocabulary": 20}),
    ("sensor-readings", 3, {"features": 24}),
    ("keyword-spotting", 3, {"channels": 1, "height": 12, "width": 8}),
    ("text-cnn", 3, {"length": 6, "vocabulary": 20}),
    ("gated-mixer", 3, {"length": 6, "vocabulary": 20}),
    ("funnel", 3, {"length": 7, "vocabulary": 20}),
    ("char-highway", 3, {"length": 7, "vocabulary": 20}),
    ("wavenet-text", None, {"length": 6, "vocabulary": 20}),
    ("dual-path", 3, {"channels": 1, "height": 8, "width": 8}),
    ("pyramid-attention", 3, {"channels": 1, "height": 16, "width": 16}),
    ("block-and-grid", 3, {"channels": 1, "height": 16, "width": 16}),
    ("near-text", 3, {"length": 16, "vocabulary": 20}),
    ("down-and-up", 3, {"channels": 1, "height": 8, "width": 8}),
    ("recurrent-text", 3, {"length": 6, "vocabulary": 20}),
    ("routed-experts", None, {"length": 6, "vocabulary": 20}),
    ("convolutional-tokens", 3, {"channels": 1, "height": 4, "width": 4}),
)
SPACES = [(family, partial(bound, family, None, size)) for family, size in FAMILIES] + [
    (name, lambda name=name, classes=classes, size=size: document(name).bind(classes, size))
    for name, classes, size in DOCUMENTS
]
CHECK = """
import importlib, pathlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"search_spaces", "nas_service", "workers"}:
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import torch
from safetensors.torch import load_file

torch.set_num_threads(int(sys.argv[1]))  # last bits of sums depend on it
for folder in sorted(pathlib.Path(".").glob("*/")):
    if not (folder / "model.py").exists():
        continue
    model = importlib.import_module(f"{folder.name}.model").Model()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    check = load_file(folder / "check.safetensors")
    with torch.no_grad():
        if torch.equal(model(check["x"]), check["y"]):
            print(folder.name)
"""


def test_generated_sources_stand_alone_and_compute_the_same(tmp_path: Path) -> None:
    for name, load in SPACES:
        folder = tmp_path / name.replace("-", "_")
        folder.mkdir()
        space = load()
        plain = Supernet(space).extract(space.sample(1, np.random.default_rng(0))[0])
        x = network_input(plain.network)
        with torch.no_grad():
            save_file({"x": x, "y": plain(x)}, folder / "check.safetensors")
        save_file(plain.state_dict(), folder / "model.safetensors")
        (folder / "model.py").write_text(plain_source(plain.network))
    (tmp_path / "check.py").write_text(CHECK)
    done = subprocess.run(
        [sys.executable, "check.py", str(torch.get_num_threads())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == sorted(name.replace("-", "_") for name, _ in SPACES), done.stderr


def test_generated_source_is_readable() -> None:
    space = load_library("digits-mobile")
    source = plain_source(space.resolve(space.largest()))
    assert "self.stem = ConvBNAct(" in source
    assert "x = self.stem(x)" in source
    assert source.count("class MBConv(") == 1
    assert "search_spaces" not in source
    assert max(len(line) for line in source.splitlines()) <= 120


@pytest.mark.parametrize(
    ("load", "num_sampled"),
    [(load, 2 if name in dict(FAMILIES) else 1) for name, load in SPACES],
    ids=[name for name, _ in SPACES],
)
def test_onnx_equals_torch_for_every_batch_size(
    load: Callable[[], SearchSpace], num_sampled: int, tmp_path: Path
) -> None:
    space = load()
    supernet = Supernet(space)
    for number, genes in enumerate([space.smallest(), *space.sample(num_sampled, np.random.default_rng(1))]):
        plain = supernet.extract(genes)
        path = tmp_path / f"{number}.onnx"
        write_onnx(plain, network_input(plain.network, 2), path)
        session = onnxruntime.InferenceSession(path)
        for batch in (1, 5):
            x = network_input(plain.network, batch)
            with torch.no_grad():
                expected = plain(x).numpy()
            (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
            assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
