"""Recalibration equals statistics over all images at once, and leaves a supernet as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.elastic.calibrate import calibrated, measured, recalibrate
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library


@pytest.fixture
def supernet() -> Supernet:
    return Supernet(load_library("digits-mobile"), seed=0)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.named_buffers()}


def test_first_norm_gets_the_exact_mean_and_variance_of_all_batches(supernet: Supernet) -> None:
    """Batches of unequal size and mean: averaging per-batch variances would be wrong here."""
    batches = [images(7), images(3, 1) + 2.0, images(5, 2) * 3.0]
    recalibrate(supernet, batches)
    with torch.no_grad():
        conv = supernet.stem.conv  # type: ignore[union-attr]
        values = conv(torch.cat(batches)).double()
    norm = supernet.stem.norm  # type: ignore[union-attr]
    assert torch.allclose(norm.running_mean.double(), values.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var.double(), values.var((0, 2, 3), correction=0), rtol=1e-5)


def test_one_batch_makes_evaluation_equal_to_training_statistics(supernet: Supernet) -> None:
    batch = images(32)
    genes = supernet.space.sample(1, np.random.default_rng(0))[0]
    with supernet.active(genes):
        recalibrate(supernet, [batch])
        supernet.eval()
        evaluated = supernet(batch)
        for owner in dict.fromkeys(owner for _, owner in supernet.batch_norms()):
            owner.train()
        assert torch.allclose(supernet(batch), evaluated, atol=1e-4)


def test_supernet_and_extracted_network_get_the_same_statistics(supernet: Supernet) -> None:
    genes = supernet.space.sample(1, np.random.default_rng(1))[0]
    extracted = supernet.extract(genes)
    batches = [images(16), images(16, 1)]
    recalibrate(extracted, batches)
    with supernet.active(genes):
        recalibrate(supernet, batches)
    again = supernet.extract(genes)
    for (name, one), (_, two) in zip(extracted.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(one, two), name


def test_statistics_of_unused_channels_stay(supernet: Supernet) -> None:
    before = buffers(supernet)
    genes = supernet.space.smallest()
    with supernet.active(genes):
        recalibrate(supernet, [images(16)])
    wide = "stage1_layer0_mbconv.project.norm.running_mean"
    used = supernet.extract(genes).get_buffer(wide).shape[0]
    after = buffers(supernet)
    assert torch.equal(after[wide][used:], before[wide][used:])
    assert not torch.equal(after[wide][:used], before[wide][:used])
    assert torch.equal(after["stage1_layer2_mbconv.project.norm.running_mean"], torch.zeros(32))


def test_leaving_the_block_restores_every_bit(supernet: Supernet) -> None:
    supernet.train()
    supernet(images(8))
    before, modes = buffers(supernet), [part.training for part in supernet.modules()]
    with calibrated(supernet, [images(16, 3)]):
        assert not torch.equal(supernet.get_buffer("stem.norm.running_mean"), before["stem.norm.running_mean"])
    assert all(torch.equal(value, before[name]) for name, value in buffers(supernet).items())
    assert [part.training for part in supernet.modules()] == modes
    assert all(part.momentum == 0.1 for part in supernet.modules() if isinstance(part, nn.BatchNorm2d))


def test_no_batches_change_nothing(supernet: Supernet) -> None:
    before = buffers(supernet)
    assert recalibrate(supernet, []) == 0
    assert all(torch.equal(value, before[name]) for name, value in buffers(supernet).items())


def test_what_is_measured_is_seen_without_dropout_and_counts_as_no_step() -> None:
    norm = nn.BatchNorm2d(3)
    module = nn.Sequential(nn.Dropout(0.5), norm).train()
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)) + 5.0
    with measured(module, [(norm, norm)]):
        module(x)
    assert torch.allclose(norm.running_mean, x.mean((0, 2, 3)), atol=1e-5)  # type: ignore[arg-type]
    assert int(norm.num_batches_tracked) == 0  # type: ignore[arg-type]
    assert all(part.training for part in module.modules())
