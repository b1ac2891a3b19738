"""How many samples a network sees together: what its memory allows, and never a single one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_service.datasets.dataset import Dataset
from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.library_index import load_library
from tests.unit.workers.training.tiny import digits
from workers.training import scoring
from workers.training.data import DeviceData
from workers.training.scoring import Calibration, samples_at_once, score_as_is, score_on


@pytest.fixture(scope="module")
def data() -> DeviceData:
    dataset: Dataset = digits()
    return DeviceData(dataset, torch.device("cpu"))


def network(family: str, **entries: int) -> PlainNetwork:
    space = load_library(family).bind(classes=10, input={"channels": 1, "height": 8, "width": 8, **entries})
    return build_plain(space.resolve(space.largest()), seed=0).eval()


def test_a_network_that_cannot_see_a_batch_whole_sees_even_parts_of_it(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration(num_samples=101, batch_size=512)
    module = network("mobilenetv3-ofa")  # it enlarges what it reads: to 224 pixels where the digits have 8
    assert samples_at_once(module.network) == 89  # of 6 MB between its layers, and 14 MB in all
    small = network("digits-mobile")
    assert samples_at_once(small.network) > 10_000
    whole = score_on(small, data, "search", calibration)
    seen: list[tuple[bool, int]] = []
    small.register_forward_pre_hook(lambda _, inputs: seen.append((torch.is_inference_mode_enabled(), len(inputs[0]))))
    monkeypatch.setattr(scoring, "MAX_ACTIVATION_BYTES", 20 * small.network.cost().peak_activation_bytes)
    parts = score_as_is(small, data.scored("search", small.network.task))
    assert parts == {**whole, "loss": pytest.approx(whole["loss"], rel=1e-5)}
    again = score_on(small, data, "search", calibration)
    assert again["loss"] == pytest.approx(whole["loss"], rel=0.05)  # what deep layers see is normalised by part
    assert [size for scores, size in seen if not scores] == [17, 17, 17, 17, 17, 16]
    scored = [size for scores, size in seen if scores]
    assert max(scored) <= 20
    assert max(scored) - min(scored) <= 1
    monkeypatch.setattr(scoring, "MAX_ACTIVATION_BYTES", 1)
    assert samples_at_once(small.network) == 2  # a single sample has no variance


def test_no_sample_is_left_alone_in_a_batch(data: DeviceData) -> None:
    """One image that has become one pixel has no variance; a network could not be calibrated on it."""
    batches = data.batches("calibrate", 32, 65)
    assert [len(x) for x, _ in batches] == [21, 22, 22]
    order = torch.cat([y for _, y in batches]).numpy()
    indices = data.dataset.indices("calibrate")
    chosen = indices[np.linspace(0, len(indices) - 1, 65).round().astype(int)]
    np.testing.assert_array_equal(order, data.dataset.y[chosen])
    found = score_on(network("mobilenetv2-elastic"), data, "search", Calibration(num_samples=65, batch_size=32))
    assert np.isfinite(found["loss"])
