"""What blocks compute, against formulas written down here: the contract compares a plain module with itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import Tally
from search_spaces.blocks.mobile import squeeze_width
from search_spaces.elastic.initialise import initialise
from search_spaces.elastic.layers import ConvBNAct, RMSNorm
from search_spaces.elastic.positions import rotated
from search_spaces.elastic.registry import MODULES
from search_spaces.elastic.resize import at_resolution
from search_spaces.shapes import ImageShape, Shape, TokensShape
from tests.contracts.block_contract import complete, make_input, randomise


def module_of(kind: str, shape: Shape, **params: Any) -> Any:
    spec = MODULES[kind]
    module = spec.cls(**spec.arguments((shape,), complete(kind, params))).eval()
    randomise(module)
    return module


def convolved(part: ConvBNAct, x: torch.Tensor, stride: int = 1, groups: int = 1) -> torch.Tensor:
    """Convolution and batch norm of a part, without its activation."""
    y = F.conv2d(x, part.conv.weight, stride=stride, padding=part.conv.weight.shape[-1] // 2, groups=groups)
    scale, shift = part.norm.weight[:, None, None], part.norm.bias[:, None, None]
    mean, variance = part.norm.running_mean[:, None, None], part.norm.running_var[:, None, None]
    return (y - mean) / (variance + 1e-5).sqrt() * scale + shift


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("out", "stride"), [(8, 1), (8, 2), (12, 1)])
def test_an_inverted_bottleneck_squeezes_its_middle_and_adds_its_input_where_it_fits(out: int, stride: int) -> None:
    shape = ImageShape(8, 6, 6)
    block, x = module_of("mbconv", shape, out=out, mid=16, stride=stride, se_ratio=0.5), make_input(shape)
    y = convolved(block.expand, x).clamp(0, 6)
    y = convolved(block.depthwise, y, stride, groups=16).clamp(0, 6)
    squeeze = block.squeeze_excite
    hidden = (y.mean((2, 3)) @ squeeze.reduce.weight[:, :, 0, 0].T + squeeze.reduce.bias).clamp(min=0)
    gate = ((hidden @ squeeze.expand.weight[:, :, 0, 0].T + squeeze.expand.bias + 3) / 6).clamp(0, 1)
    y = convolved(block.project, y * gate[:, :, None, None])
    close(block(x), x + y if (out, stride) == (8, 1) else y)


@torch.no_grad()
def test_residual_blocks_end_in_relu_and_pad_channels_on_both_sides() -> None:
    shape = ImageShape(4, 6, 6)
    x = make_input(shape)
    same = module_of("basic_block", shape, out=4, mid=6)
    close(same(x), (convolved(same.second, convolved(same.first, x).relu()) + x).relu())
    padded = module_of("basic_block", shape, out=10, mid=6, stride=2, shortcut="pad")
    zeros = torch.zeros(2, 3, 3, 3)
    shortcut = torch.cat((zeros, x[:, :, ::2, ::2], zeros), 1)
    close(padded(x), (convolved(padded.second, convolved(padded.first, x, 2).relu()) + shortcut).relu())


@torch.no_grad()
def test_average_pooling_leaves_the_border_out_and_a_factorized_reduction_sees_every_second_diagonal() -> None:
    shape = ImageShape(4, 6, 6)
    constant = torch.ones(1, 4, 6, 6)
    close(module_of("pool", shape, operation="average", kernel=3, norm=False)(constant), constant)
    reduce, x = module_of("factorized_reduce", shape, out=4), make_input(shape)
    halves = [(x[:, :, start::2, start::2].relu(), conv) for start, conv in ((0, reduce.even), (1, reduce.odd))]
    y = torch.cat([F.conv2d(part, conv.weight) for part, conv in halves], 1)
    close(reduce(x), reduce.norm(y))


@torch.no_grad()
def test_root_mean_square_norm_takes_no_mean_away() -> None:
    norm, x = RMSNorm(6), make_input(TokensShape(3, 6)) + 2.0
    randomise(norm)
    close(norm(x), x / ((x**2).sum(-1, keepdim=True) / 6).sqrt() * norm.weight)


def by_hand(block: Any, y: torch.Tensor) -> torch.Tensor:
    """Attention of the first head alone, before the output layer, with its learned distances of patches."""
    d, length = block.head_dim, y.shape[1]
    query, key, value = (layer(y)[..., :d] for layer in (block.query, block.key, block.value))
    keys, values = block.key_positions(length), block.value_positions(length)
    scores = torch.stack([(query[:, i, None] * (key + keys[i])).sum(-1) for i in range(length)], 1) / math.sqrt(d)
    weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return torch.stack([(weights[:, i, :, None] * (value + values[i])).sum(1) for i in range(length)], 1)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_attention_with_relative_positions_and_both_places_of_its_norm(norm: str) -> None:
    shape = TokensShape(5, 8)
    params = {"heads": 1, "head_dim": 4, "relative_positions": 2, "norm": norm}
    block, x = module_of("self_attention", shape, **params), make_input(shape)
    if norm == "pre":
        close(block(x), x + block.output(by_hand(block, block.norm(x))))
    else:
        close(block(x), block.norm(x + block.output(by_hand(block, x))))


@torch.no_grad()
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_gate_is_the_activated_one_of_two_layers(norm: str) -> None:
    shape = TokensShape(5, 8)
    block = module_of("feed_forward", shape, mid=6, gated=True, activation="relu", norm=norm)
    x = make_input(shape)
    y = block.norm(x) if norm == "pre" else x
    y = x + block.second(block.gate(y).clamp(min=0) * block.first(y))
    close(block(x), y if norm == "pre" else block.norm(y))


def test_rotations_are_those_of_complex_numbers() -> None:
    x = make_input(TokensShape(7, 8))[:, None]
    rates = torch.tensor([1.0, 1e-1, 1e-2, 1e-3])
    turns = torch.polar(torch.ones(7, 4), torch.arange(7.0)[:, None] * rates)
    pairs = torch.view_as_complex(x.unflatten(3, (4, 2)).contiguous())
    close(rotated(x), torch.view_as_real(pairs * turns).flatten(3))


@torch.no_grad()
def test_cosine_mixing_is_the_cosine_transform() -> None:
    shape = TokensShape(6, 8)
    block, x = module_of("transform_mixer", shape, transform="dct"), make_input(shape)
    # SciPy's sums have a factor of 2 an axis.
    mixed = torch.from_numpy(np.asarray(dctn(block.norm(x).double().numpy(), type=2, axes=(1, 2)))) / 4
    close(block(x), x + (mixed * math.sqrt(2 / 6) * math.sqrt(2 / 8)).float())


@torch.no_grad()
def test_a_token_reduction_normalises_all_that_it_learns_from() -> None:
    shape = TokensShape(17, 6)
    block, x = module_of("token_reduction", shape, features=9), make_input(shape)
    shortcut = F.pad(x[:, :1], (0, 3))
    close(block(x)[:, :1], block.linear(block.norm(x[:, :1])) + shortcut)


def test_what_a_block_holds_counts_until_it_is_released() -> None:
    tally = Tally((ImageShape(2, 4, 4),))
    tally.hold(32)
    tally.conv(2, 3, 1, 4, 4)
    assert tally.cost().peak_elements == 32 + 48 + 32
    tally.release(32)
    tally.emit(70)
    assert tally.cost().peak_elements == 48 + 70


def test_a_squeeze_is_never_much_narrower_than_asked() -> None:
    assert [squeeze_width(0, mid, 0.25, "mid") for mid in (4, 44, 76, 96)] == [8, 16, 24, 24]
    assert squeeze_width(11, 44, 0.25, "in") == 2


def test_first_weights_follow_the_fan_out_and_differ_from_block_to_block() -> None:
    convolutions = [nn.Conv2d(64, 64, 3, groups=4) for _ in range(2)]
    for name, conv in zip("ab", convolutions, strict=True):
        initialise(conv, 0, name)
    assert float(convolutions[0].weight.detach().std()) == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.03)
    assert not torch.equal(convolutions[0].weight, convolutions[1].weight)


def test_a_resized_ramp_rises_evenly() -> None:
    ramp = torch.arange(8.0).repeat(1, 1, 8, 1)
    steps = at_resolution(ramp, ImageShape(1, 16, 16))[0, 0, 0, 4:-4].diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5), rtol=0, atol=0.1)
