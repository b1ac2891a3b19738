"""The contract of attention on feature maps and of the bottlenecks of hybrid networks."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.attention import Attend
from search_spaces.elastic.channel_attention import ChannelAttention
from search_spaces.elastic.hybrid import MapAttention, RelativeBias
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape
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


class TestSpreadWindowAttention(BlockContract):
    kind = "map_attention"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 8, 4)]]
    options: ClassVar = {
        "heads": [2],
        "head_dim": [4],
        "value_dim": [4],
        "window": [0, 2],
        "spread": [True, False],
    }


class TestReducedAttention(BlockContract):
    kind = "map_attention"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 8, 4)]]
    options: ClassVar = {
        "heads": [1, 2],
        "head_dim": [4],
        "value_dim": [4],
        "value_conv": [True, False],
        "relative_positions": [True, False],
        "reduction": [1, 2, 4],
    }


class TestAttend(BlockContract):
    kind = "attend"
    inputs: ClassVar = [[TokensShape(6, 8)], [TokensShape(5, 8)], [TokensShape(5, 4), TokensShape(5, 8)]]
    options: ClassVar = {"heads": [1, 4], "linear": [True, False], "causal": [False]}


class TestAttendOfMaps(BlockContract):
    kind = "attend"
    inputs: ClassVar = [[ImageShape(8, 3, 2)], [ImageShape(8, 2, 2)], [TokensShape(4, 8), TokensShape(4, 12)]]
    options: ClassVar = {"heads": [1, 2], "linear": [True, False], "causal": [False]}


class TestCausalAttend(BlockContract):
    kind = "attend"
    inputs: ClassVar = [[TokensShape(5, 8)], [TokensShape(5, 8)], [TokensShape(5, 4)]]
    options: ClassVar = {"heads": [1, 2], "causal": [True, False]}


def test_linear_attention_is_a_mean_of_values_by_likeness() -> None:
    query, key, value = (torch.randn(2, length, 8) for length in (6, 5, 5))
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    weights = query.relu() @ key.relu().transpose(1, 2) * real[:, None]
    expected = weights / (weights.sum(2, keepdim=True) + 1e-6) @ value
    assert torch.allclose(Attend(1, True, False)(query, key, value, real), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "params", "told"),
    [
        ((TokensShape(6, 8), TokensShape(5, 4), TokensShape(5, 8)), {}, "as many features, not 8 and 4"),
        ((TokensShape(6, 8), TokensShape(5, 8), TokensShape(4, 8)), {}, "as many tokens or pixels, not 5 and 4"),
        (
            (TokensShape(6, 8), TokensShape(5, 8), TokensShape(5, 6)),
            {"heads": 4},
            "divide the 6 features of the values",
        ),
        ((TokensShape(6, 8), TokensShape(5, 8), TokensShape(5, 8)), {"causal": True}, "as many keys as queries"),
        ((VectorShape(8), TokensShape(5, 8), TokensShape(5, 8)), {}, "sequences or feature maps"),
    ],
)
def test_queries_keys_and_values_that_do_not_fit(
    shapes: tuple[Shape, ...], params: dict[str, int | bool], told: str
) -> None:
    with pytest.raises(BlockError, match=told):
        BLOCKS["attend"].out_shape(shapes, complete("attend", {"heads": 2, **params}))


class TestChannelAttention(BlockContract):
    kind = "channel_attention"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 3, 2)]]
    options: ClassVar = {"heads": [1, 2], "head_dim": [4, 6], "bias": [True, False]}


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


def test_spread_windows_are_windows_of_the_map_with_its_pixels_dealt_out() -> None:
    """Pixel (a, b) of a window of 2 x 2 pixels of a map of 4 x 6 stands 2 rows and 3 columns from the next."""
    near, spread = (MapAttention(8, 2, 2, 2, 4, 4, False, True, False, "none", True, wide).eval() for wide in (0, 1))
    randomise(near)
    spread.load_state_dict(near.state_dict())
    x = make_input(ImageShape(8, 4, 6))
    rows, columns = torch.tensor([0, 2, 1, 3]), torch.tensor([0, 3, 1, 4, 2, 5])
    with torch.no_grad():
        expected = near(x[:, :, rows][..., columns])
        assert torch.allclose(spread(x)[:, :, rows][..., columns], expected, atol=1e-6)


def test_keys_of_a_reduced_map_are_those_of_a_convolution_of_patches() -> None:
    """Against attention written out, with the bias of a square taken from its first pixel."""
    module = MapAttention(8, 4, 6, 2, 4, 4, False, True, False, "none", True, reduction=2).eval()
    randomise(module)
    x = make_input(ImageShape(8, 4, 6))
    with torch.no_grad():
        y = module.norm(x.flatten(2).transpose(1, 2))
        patches = y.transpose(1, 2).unflatten(2, (2, 2, 3, 2)).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        weight = module.reduction.weight.flatten(2)
        fewer = torch.einsum("ncpk,ock->npo", patches, weight) + module.reduction.bias
        fewer = module.reduction_norm(fewer)
        query, key, value = (module.split(part) for part in (module.query(y), module.key(fewer), module.value(fewer)))
        first = [0, 2, 4, 12, 14, 16]
        scores = query @ key.transpose(2, 3) / 2 + module.positions(4, 6)[:, :, first]
        mixed = (scores.softmax(3) @ value).transpose(1, 2).flatten(2)
        expected = x + module.output(mixed).transpose(1, 2).unflatten(2, (4, 6))
        assert torch.allclose(module(x), expected, atol=1e-5)


def test_channel_attention_mixes_features_by_their_likeness_over_the_pixels() -> None:
    module = ChannelAttention(8, 2, 4, True).eval()
    randomise(module)
    x = make_input(ImageShape(8, 2, 3))
    with torch.no_grad():
        y = module.norm(x.flatten(2).transpose(1, 2))
        query, key, value = module.query(y), module.key(y), module.value(y)
        mixed = torch.empty_like(value)
        for head, features in enumerate((slice(0, 4), slice(4, 8))):
            likeness = torch.cosine_similarity(query[:, :, features, None], key[:, :, None, features], 1)
            weights = (likeness * (1 + module.sharper[head])).softmax(2)
            mixed[..., features] = torch.einsum("nij,nlj->nli", weights, value[..., features])
        expected = x + module.output(mixed).transpose(1, 2).unflatten(2, (2, 3))
        assert torch.allclose(module(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"window": 3}, "window 3 must divide the height 8"),
        ({"reduction": 3}, "reduction 3 must divide the height 8"),
        ({"reduction": 2, "window": 4}, "either window or reduction"),
        ({"window": 4, "shift": True, "spread": True}, "either shifted or spread"),
    ],
)
def test_what_a_map_cannot_be_cut_into_is_told(given: dict[str, object], told: str) -> None:
    params = complete("map_attention", {"heads": 1, "value_dim": 4, **given})
    with pytest.raises(BlockError, match=told):
        BLOCKS["map_attention"].out_shape((ImageShape(8, 8, 8),), params)


def test_map_attention_without_positions_does_not_know_where_a_pixel_is() -> None:
    module = MapAttention(8, 2, 3, 2, 4, 4, False, False, False, "hswish", True).eval()
    x = torch.randn(1, 8, 2, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    moved = x.flatten(2)[:, :, order].unflatten(2, (2, 3))
    assert torch.allclose(module(moved).flatten(2), module(x).flatten(2)[:, :, order], atol=1e-6)
