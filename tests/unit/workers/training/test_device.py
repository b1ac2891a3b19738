"""Nothing on the way of a sample is created on another device than the data's.

Torch's "meta" device stands in for a GPU: it computes shapes only, needs no hardware, and like a GPU refuses to work
with a tensor that lies elsewhere.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_service.methods.recipes.base import Augmentation
from search_spaces.elastic.calibrate import recalibrate
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from tests.unit.workers.training.tiny import digits
from workers.measure.torch_runner import example_input, prepare
from workers.training.augment import augment, draw
from workers.training.data import DeviceData
from workers.training.optimise import MovingAverage, build_optimiser

META = torch.device("meta")
# One of each kind of blocks, small enough to be quick.
SPACES = (
    "bert-tiny",
    "digits-cell",
    "digits-fabric",
    "digits-hybrid",
    "digits-mlp",
    "digits-mobile",
    "digits-vit",
    "gpt-tiny",
    "matformer-gpt",
    "mobilenetv3-ofa",
    "table-transformer",
)


@pytest.mark.parametrize("name", SPACES)
def test_supernets_and_extracted_networks_stay_where_they_are(name):
    space = load_library(name)
    with META:
        supernet = Supernet(space)
    supernet.to(META)
    for genes in (space.smallest(), space.largest()):
        x = example_input(space.resolve(genes), 2, seed=0).to(META)
        supernet.train()
        with supernet.active(genes):
            logits = supernet(x)
        logits.float().sum().backward()
        plain = supernet.extract(genes)
        assert {value.device for value in plain.state_dict().values()} <= {META}
        assert plain(x).device == logits.device == META


def test_samples_are_augmented_and_normalised_where_they_are():
    data = DeviceData(digits(), META)
    rule = Augmentation(shift_pixels=1, rotate_degrees=5, zoom=0.1, flip_horizontal=True, cutout_pixels=2)
    x, y = data.raw(data.train_indices[:4])
    x = augment(rule, x, draw(rule, 4, 8, 8, np.random.default_rng(0)))
    assert data.normalise(x).device == y.device == META
    assert {t.device for batch in data.batches("search", 64) for t in batch} == {META}


def test_optimiser_average_and_calibration_stay_where_they_are():
    from nas_service.methods.recipes.sandwich import SandwichParams

    space = load_library("digits-mobile")
    with META:
        supernet = Supernet(space)
    supernet.to(META)
    params = SandwichParams(ema_decay=0.9)
    optimiser, average = build_optimiser(params, supernet), MovingAverage(supernet, 0.9)
    x = torch.zeros(2, 1, 8, 8, device=META)
    with supernet.active(space.largest()):
        recalibrate(supernet, [x])
        supernet(x).sum().backward()
    optimiser.step()
    average.observe(0)
    with average.in_place():
        assert {p.device for p in supernet.parameters()} == {META}


def test_a_missing_gpu_is_said_before_anything_is_measured():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(RuntimeError, match="no GPU"):
        prepare({"threads": 1, "processor": "cuda"})
    assert "gpu" not in prepare({"threads": 1, "processor": "cpu"})
