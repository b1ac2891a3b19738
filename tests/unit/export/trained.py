"""A small space, the digits, and a supernet trained for a moment: what exports and measurements need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.ingest import ingest_digits
from nas_service.datasets.store import DatasetStore
from search_spaces.elastic.supernet import Supernet
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace
from workers.context import WorkContext
from workers.training.checkpoint import write_checkpoint
from workers.training.data import DeviceData
from workers.training.optimise import named_tensors

DOCUMENT = """
language_version: 1
name: tiny-digits
task: {kind: image_classification, classes: 10}
input: {channels: 1, resolution: 8}
network:
  - {block: conv_bn_act, name: stem, out: 8, kernel: 3, activation: hswish}
  - let: {depth: {int: [1, 3]}}
    repeat:
      count: "=depth"
      index: i
      body:
        - let:
            kernel: {one_of: [3, 5]}
            expansion: {one_of: [1, 2, 4]}
          block: mbconv
          out: 16
          mid: "=in * expansion"
          kernel: "=kernel"
          stride: "=i == 0 ? 2 : 1"
          activation: hswish
  - {block: image_head, name: head, out: "=classes"}
"""


@dataclass(frozen=True)
class Trained:
    """A worker's context whose artifacts hold the data set and a supernet's checkpoint."""

    context: WorkContext
    document: dict[str, Any]
    space: SearchSpace
    fingerprint: str
    supernet: dict[str, Any]

    def genes(self, seed: int = 0) -> list[int]:
        return self.space.sample(1, np.random.default_rng(seed))[0].tolist()


def train(artifacts: Path, steps: int = 40) -> Trained:
    """Train the supernet for a few steps, with one architecture active: the one that `Trained.genes()` names."""
    document = dict(parse_document(DOCUMENT).to_json())
    space = SearchSpace.from_document(parse_document(DOCUMENT))
    dataset = build_dataset("digits", ingest_digits())
    context = WorkContext(artifacts=artifacts)
    DatasetStore(context.datasets).write(dataset)
    torch.set_num_threads(1)
    supernet = Supernet(space, seed=0)
    data = DeviceData(dataset, torch.device("cpu"))
    x, y = data.batches("train", 2048)[0]
    optimiser = torch.optim.AdamW(supernet.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    genes = space.sample(1, np.random.default_rng(0))[0]
    supernet.train()
    for step in range(steps):
        optimiser.zero_grad()
        chosen = torch.from_numpy(rng.permutation(len(x))[:256])
        with supernet.active(genes):
            functional.cross_entropy(supernet(x[chosen]), y[chosen]).backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - (step + 1) / steps)
    written = write_checkpoint(
        artifacts / "supernets" / "sup_1", "step-00000040.1", {"model": named_tensors(supernet)}, {}
    )
    path = str(written.path.relative_to(artifacts))
    reference = {"id": "sup_1", "checkpoint": {"path": path, "sha256": written.sha256}}
    return Trained(context, document, space, dataset.fingerprint, reference)


@contextmanager
def importing(folder: Path, monkeypatch: Any) -> Iterator[Any]:
    """predict.py of an export folder, imported in this process and forgotten again."""
    names = ("predict", "model", "tokenizer")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        import predict

        yield predict
        for name in names:
            sys.modules.pop(name, None)
