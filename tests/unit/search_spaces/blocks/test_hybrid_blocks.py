"""The contract of attention on feature maps and of the bottlenecks of hybrid networks."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.hybrid import MapAttention, RelativeBias
from search_spaces.network import ImageShape
from tests.contracts.block_contract import BlockContract, complete, make_input, randomise


class TestMapAttention(BlockContract):
    kind = "map_attention"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 2, 2)]]
    options: ClassVar = {
        "heads": [1, 2],
        "head_dim": [4],
        "value_dim": [4, 6],
        "value_conv": [True, False],
        "relative_positions": [True, False],
        "bias": [True, False],
    }


class TestWindowAttention(BlockContract):
    kind = "map_attention"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 8, 4)]]
    options: ClassVar = {
        "heads": [1, 2],
        "head_dim": [4],
        "value_dim": [4],
        "value_conv": [False],
        "relative_positions": [True, False],
        "window": [0, 2, 4],
        "shift": [True, False],
    }


class TestMapFeedForward(BlockContract):
    kind = "map_feed_forward"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 2, 2)]]
    options: ClassVar = {"mid": [8, 20]}


class TestPositionalBottleneck(BlockContract):
    kind = "positional_bottleneck"
    inputs: ClassVar = [[ImageShape(8, 6, 6), ImageShape(12, 5, 5)]]
    options: ClassVar = {
        "out": [8, 12],
        "mid": [4, 8],
        "stride": [1, 2],
        "se_ratio": [0.0, 0.25],
        "shortcut": ["project", "pool_project"],
    }


class TestAttentionBottleneck(BlockContract):
    kind = "attention_bottleneck"
    inputs: ClassVar = [[ImageShape(8, 6, 6), ImageShape(12, 5, 5)]]
    options: ClassVar = {
        "out": [8, 12],
        "heads": [1, 2],
        "head_dim": [4],
        "stride": [1, 2],
        "shortcut": ["project", "pool_project"],
    }


class TestMBConvWithShortcut(BlockContract):
    kind = "mbconv"
    inputs: ClassVar = [[ImageShape(8, 6, 6), ImageShape(12, 5, 5)]]
    options: ClassVar = {"out": [8, 12], "mid": [24, 36], "stride": [1, 2], "shortcut": ["none", "pool_project"]}


def test_relative_bias_of_a_smaller_map_is_the_centre_of_the_table() -> None:
    large, small = RelativeBias(2, 4, 4), RelativeBias(2, 2, 3)
    with torch.no_grad():
        large.weight.normal_(generator=torch.Generator().manual_seed(0))
        small.weight.copy_(large.weight[:, 2:5, 1:6])
    whole, part = large(4, 4), small(2, 3)
    rows = [row * 4 + column for row in range(2) for column in range(3)]
    assert torch.equal(part, whole[:, rows][:, :, rows])


@pytest.mark.parametrize("positions", [True, False])
def test_shifted_windows_are_attention_among_pixels_of_one_window(positions: bool) -> None:
    """Against dense attention with a mask; windows begin half a window further, the rests at the edges are apart."""
    rows, columns, side = 8, 12, 4
    windows = MapAttention(8, side, side, 2, 4, 4, False, positions, True, "none", True).eval()
    dense = MapAttention(8, rows, columns, 2, 4, 4, False, positions, False, "none", True).eval()
    randomise(windows)
    state = windows.state_dict()
    if positions:
        state["positions.weight"] = torch.nn.functional.pad(state["positions.weight"], (8, 8, 4, 4))
    dense.load_state_dict(state)
    row, column = ((torch.arange(size) + side // 2) // side for size in (rows, columns))
    window = (10 * row[:, None] + column[None]).flatten()
    together = (window[:, None] == window[None])[None, None]
    x = make_input(ImageShape(8, rows, columns))
    with torch.no_grad():
        y = dense.norm(x.flatten(2).transpose(1, 2))
        mixed = dense.attend(dense.query(y), dense.key(y), dense.value(y), together)
        expected = x + dense.output(mixed).transpose(1, 2).unflatten(2, (rows, columns))
        assert torch.allclose(windows(x), expected, atol=1e-5)


def test_windows_must_divide_the_map() -> None:
    params = complete("map_attention", {"heads": 1, "value_dim": 4, "window": 3})
    with pytest.raises(BlockError, match="window 3 must divide the height 8"):
        BLOCKS["map_attention"].out_shape((ImageShape(8, 8, 8),), params)


def test_map_attention_without_positions_does_not_know_where_a_pixel_is() -> None:
    module = MapAttention(8, 2, 3, 2, 4, 4, False, False, False, "hswish", True).eval()
    x = torch.randn(1, 8, 2, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    moved = x.flatten(2)[:, :, order].unflatten(2, (2, 3))
    assert torch.allclose(module(moved).flatten(2), module(x).flatten(2)[:, :, order], atol=1e-6)
