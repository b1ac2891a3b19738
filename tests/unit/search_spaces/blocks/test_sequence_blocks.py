"""The contract of every block on sequences."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.positions import DistanceBias, RelativeVectors, rotated
from search_spaces.elastic.recurrent import Recurrent
from search_spaces.elastic.registry import MODULES
from search_spaces.elastic.sequences import TokenPool, TokenReduction
from search_spaces.elastic.transformer import CausalConv, TransformMixer
from search_spaces.shapes import ImageShape, TokensShape
from tests.contracts.block_contract import BlockContract, Case, complete, make_input, randomise


class TestPatchEmbedding(BlockContract):
    kind = "patch_embedding"
    inputs: ClassVar = [[ImageShape(3, 8, 8)]]
    options: ClassVar = {
        "features": [8, 12],
        "patch": [2],
        "class_token": [True, False],
        "positions": [True, False],
    }


class TestTokenEmbedding(BlockContract):
    kind = "token_embedding"
    inputs: ClassVar = [[TokensShape(6, 1)]]
    options: ClassVar = {"features": [8, 12], "vocabulary": [11], "positions": [True, False]}
    vocabulary = 11


class TestTokenEmbeddingAsTiedHead(BlockContract):
    kind = "token_embedding"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"features": [8, 12], "vocabulary": [11], "positions": [True, False]}

    def cases(self) -> list[Case]:
        return [case for case in super().cases() if case[0][0].features == case[1]["features"]]  # type: ignore[union-attr]


class TestLearnedTokens(BlockContract):
    kind = "learned_tokens"
    inputs: ClassVar = [[TokensShape(6, 8)]]
    options: ClassVar = {"length": [1, 3], "features": [4, 8]}


class TestRecurrent(BlockContract):
    kind = "recurrent"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(4, 12)]]
    options: ClassVar = {"features": [4, 8], "cell": ["gru", "lstm"], "bidirectional": [True, False]}


@pytest.mark.parametrize(("gates", "theirs"), [(3, torch.nn.GRU), (4, torch.nn.LSTM)])
def test_recurrent_layers_compute_what_those_of_torch_do(
    gates: int, theirs: type[torch.nn.GRU | torch.nn.LSTM]
) -> None:
    mine, other = Recurrent(8, 5, gates, True), theirs(8, 5, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for layer, end in ((mine.onward, "l0"), (mine.back, "l0_reverse")):
            for parts, what in ((layer.of_tokens, "ih"), (layer.of_states, "hh")):
                getattr(other, f"weight_{what}_{end}").copy_(torch.cat([part.weight for part in parts]))
                getattr(other, f"bias_{what}_{end}").copy_(torch.cat([part.bias for part in parts]))
        x = make_input(TokensShape(7, 8))
        assert torch.allclose(mine(x), other(x)[0], atol=1e-5)


class TestTokenNorm(BlockContract):
    kind = "token_norm"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"rms_norm": [True, False]}


class TestTokenProjection(BlockContract):
    kind = "token_projection"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"features": [4, 10], "bias": [True, False]}


class TestSelfAttention(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {
        "heads": [1, 2, 3],
        "head_dim": [4],
        "causal": [True, False],
        "similarity": ["scaled", "weighted"],
        "norm": ["pre", "post"],
    }


class TestSelfAttentionWithRelativePositions(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(10, 8), TokensShape(5, 12)]]
    options: ClassVar = {"heads": [1, 3], "head_dim": [4, 6], "relative_positions": [0, 1, 3]}


class TestSelfAttentionWithDistances(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(5, 12)]]
    options: ClassVar = {"heads": [1, 3], "head_dim": [4], "distance_bias": [0, 1, 8], "causal": [True, False]}


def test_distances_are_told_apart_up_to_the_largest() -> None:
    layer = DistanceBias(1, 2)
    layer.weight.data = torch.tensor([[10.0, 11, 12, 13, 14]])
    assert layer(4)[0].tolist() == [[12, 13, 14, 14], [11, 12, 13, 14], [10, 11, 12, 13], [10, 10, 11, 12]]
    with pytest.raises(BlockError) as caught:
        BLOCKS["self_attention"].out_shape(
            (TokensShape(6, 8),), complete("self_attention", {"heads": 2, "relative_positions": 4})
        )
    assert "distance_bias" in caught.value.suggestion


class TestSelfAttentionOfLlama(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(5, 12)]]
    options: ClassVar = {
        "heads": [2, 4],
        "kv_heads": [0, 2],
        "head_dim": [4, 6],
        "rotary": [True, False],
        "rms_norm": [True, False],
        "qk_norm": [True, False],
        "causal": [True],
    }


class TestSelfAttentionInWindows(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(11, 8), TokensShape(4, 12)]]
    options: ClassVar = {
        "heads": [2],
        "kv_heads": [0, 1],
        "head_dim": [4],
        "window": [0, 1, 2, 5],
        "rotary": [True, False],
        "causal": [True, False],
    }


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [12, 17])
def test_a_window_hides_what_is_further_away(length: int, causal: bool) -> None:
    """Against attention between all tokens with a mask, padded texts among them."""
    params = complete("self_attention", {"heads": 2, "head_dim": 4, "window": 3, "causal": causal})
    spec, shape = MODULES["self_attention"], TokensShape(length, 8)
    module = spec.cls(**spec.arguments((shape,), params)).eval()
    randomise(module)
    x = make_input(shape)
    place = torch.arange(length)
    seen = (place[:, None] - place).abs() <= 3
    if causal:
        seen &= place[:, None] >= place
    real = place[None] < torch.tensor([length, 6])[:, None]
    for known in (None, real):
        with torch.no_grad():
            y = module.norm(x)
            query, key, value = (module.split(part) for part in (module.query(y), module.key(y), module.value(y)))
            mask = (
                seen if known is None or causal else seen & known[:, None, None] | torch.eye(length, dtype=torch.bool)
            )
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
            expected = x + module.output(mixed.transpose(1, 2).flatten(2))
            assert torch.allclose(module(x, known), expected, atol=1e-5)


class TestExperts(BlockContract):
    kind = "feed_forward"
    inputs: ClassVar = [[TokensShape(6, 8)]]
    options: ClassVar = {"mid": [8, 20], "experts": [1, 2, 4], "active": [1, 2], "gated": [True, False]}

    def cases(self) -> list[Case]:
        return [case for case in super().cases() if case[1]["active"] <= case[1]["experts"]]


def test_each_token_passes_the_experts_that_its_router_picks() -> None:
    params = complete("feed_forward", {"mid": 16, "experts": 4, "active": 2})
    spec, shape = MODULES["feed_forward"], TokensShape(5, 8)
    module = spec.cls(**spec.arguments((shape,), params)).eval()
    randomise(module)
    x = make_input(shape)
    with torch.no_grad():
        y = module.norm(x)
        weights = module.router(y).softmax(2)
        kept = weights * (weights >= weights.sort(2).values[..., -2:-1])
        experts = torch.stack([module.branch(y), *(other(y) for other in module.others)], 2)
        expected = x + ((kept / kept.sum(2, keepdim=True))[..., None] * experts).sum(2)
        assert torch.allclose(module(x), expected, atol=1e-5)
    with pytest.raises(BlockError, match="active 5 must not be above the 4 experts"):
        BLOCKS["feed_forward"].out_shape((shape,), params | {"active": 5})


class TestTokenReduction(BlockContract):
    kind = "token_reduction"
    inputs: ClassVar = [[TokensShape(17, 8), TokensShape(5, 8), TokensShape(17, 12)]]
    options: ClassVar = {"features": [12, 20]}


class TestFeedForward(BlockContract):
    kind = "feed_forward"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {
        "mid": [8, 20],
        "gated": [True, False],
        "bias": [True, False],
        "norm": ["pre", "post"],
        "rms_norm": [True, False],
    }


BARE = {"norm": ["pre", "post", "none"], "residual": [True, False]}  # of every sub-layer


class TestFeedForwardAsABranch(BlockContract):
    kind = "feed_forward"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"mid": [8, 20], **BARE}


class TestSelfAttentionAsABranch(BlockContract):
    kind = "self_attention"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"heads": [1, 2], "head_dim": [4], "rms_norm": [True, False], **BARE}


def test_a_branch_alone_is_what_a_sub_layer_adds() -> None:
    shape = TokensShape(5, 8)
    for kind, params in (
        ("self_attention", {"heads": 2, "head_dim": 4}),
        ("feed_forward", {"mid": 16}),
        ("conv_mixer", {}),
        ("transform_mixer", {}),
    ):
        spec, x = MODULES[kind], make_input(shape)
        whole, alone = (
            spec.cls(**spec.arguments((shape,), complete(kind, params | changes))).eval()
            for changes in ({}, {"norm": "none", "residual": False})
        )
        randomise(whole)
        alone.load_state_dict({name: part for name, part in whole.state_dict().items() if "norm" not in name})
        with torch.no_grad():
            torch.testing.assert_close(x + alone(whole.norm(x)), whole(x))


class TestPositionMixer(BlockContract):
    kind = "position_mixer"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(9, 12)]]
    options: ClassVar = {"mid": [0, 4, 8], "bias": [True, False]}


class TestTransformMixer(BlockContract):
    kind = "transform_mixer"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"transform": ["dft", "dct"], **BARE}


class TestConvMixer(BlockContract):
    kind = "conv_mixer"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"kernel": [5, 9], "bias": [True, False], "norm": ["pre", "post"]}


class TestCausalConvMixer(BlockContract):
    kind = "conv_mixer"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"kernel": [3, 5], "causal": [True], "bias": [True, False], "rms_norm": [True, False]}


class TestSequenceConv(BlockContract):
    kind = "sequence_conv"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {
        "features": [5, 10],
        "kernel": [1, 2, 3, 4],
        "causal": [True, False],
        "norm": [True, False],
        "bias": [True, False],
    }


class TestDilatedSequenceConv(BlockContract):
    kind = "sequence_conv"
    inputs: ClassVar = [[TokensShape(9, 8), TokensShape(9, 12)]]
    options: ClassVar = {
        "features": [12, 24],
        "kernel": [2, 3],
        "stride": [1, 2],
        "causal": [True, False],
        "dilation": [1, 2],
        "group_size": [0, 1, 4],
    }

    def cases(self) -> list[Case]:
        found = super().cases()  # groups divide the features that come out too
        return [case for case in found if not case[1]["group_size"] or case[0][0].features == case[1]["features"] == 12]  # type: ignore[union-attr]


def test_a_dilated_causal_convolution_reads_every_second_token_before() -> None:
    conv = CausalConv(1, 1, 3, dilation=2, bias=False)
    x = torch.randn(1, 1, 9)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[3.0, 2.0, 1.0]]]))
        assert torch.allclose(conv(x)[0, 0, 5], 3 * x[0, 0, 5] + 2 * x[0, 0, 3] + x[0, 0, 1])


class TestSequencePool(BlockContract):
    kind = "sequence_pool"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(5, 12)]]
    options: ClassVar = {"operation": ["first", "avg", "max"]}


class TestTokenPool(BlockContract):
    kind = "token_pool"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(5, 12)]]
    options: ClassVar = {"size": [1, 2, 4, 7], "operation": ["avg", "max"]}


@pytest.mark.parametrize(("largest", "expected"), [(False, [1.0, 3.0, 0.0]), (True, [2.0, 3.0, 0.0])])
def test_pooled_tokens_leave_padding_out(largest: bool, expected: list[float]) -> None:
    x = torch.tensor([0.0, 2.0, 3.0, 9.0, 9.0]).reshape(1, 5, 1)
    real = torch.tensor([[True, True, True, False, False]])
    assert TokenPool(2, largest)(x, real).flatten().tolist() == expected


class TestSequenceHead(BlockContract):
    kind = "sequence_head"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"out": [5], "pool": ["first", "mean", "max"]}


class TestLanguageHead(BlockContract):
    kind = "language_head"
    inputs: ClassVar = [[TokensShape(6, 8), TokensShape(6, 12)]]
    options: ClassVar = {"vocabulary": [11], "bias": [True, False]}


@pytest.mark.parametrize(
    ("kind", "params"), [("self_attention", {"heads": 4, "kv_heads": 2, "rotary": True}), ("conv_mixer", {})]
)
def test_causal_blocks_see_no_later_token(kind: str, params: dict[str, int]) -> None:
    shape = TokensShape(7, 8)
    complete_params = complete(kind, params | {"causal": True})
    spec = MODULES[kind]
    module = spec.cls(**spec.arguments((shape,), complete_params)).eval()
    randomise(module)
    x = make_input(shape)
    changed = x.clone()
    changed[:, 4] += 1
    with torch.no_grad():
        differ = (module(x) != module(changed)).any(2).any(0)
    assert differ.tolist() == [False] * 4 + [True] * 3


def test_a_smaller_causal_kernel_keeps_the_weights_of_the_latest_tokens() -> None:
    small, large = CausalConv(1, 1, 3, bias=False), CausalConv(1, 1, 5, bias=False)
    with torch.no_grad():
        large.weight.copy_(torch.tensor([[[3.0, 2.0, 1.0, 0.0, 0.0]]]))
        small.weight.copy_(large.weight[:, :, :3])
        x = torch.randn(1, 1, 9)
        assert torch.allclose(small(x), large(x))
        assert torch.allclose(small(x)[0, 0, 4], 3 * x[0, 0, 4] + 2 * x[0, 0, 3] + x[0, 0, 2])


def test_rotated_products_depend_on_the_distance_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 1, 1, 8, generator=generator).expand(1, 1, 9, 8) for _ in range(2))
    products = (rotated(query) @ rotated(key).transpose(2, 3))[0, 0]
    for distance in range(-3, 4):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5)
    assert not torch.allclose(products[0, 0], products[0, 1], atol=1e-2)
    assert torch.allclose(products[0, 0], (query @ key.transpose(2, 3))[0, 0, 0, 0], atol=1e-5)


def test_heads_that_share_keys_and_values_equal_heads_with_equal_ones() -> None:
    shape = TokensShape(5, 8)
    spec = MODULES["self_attention"]
    shared, full = (
        spec.cls(**spec.arguments((shape,), complete("self_attention", {"heads": 4, "head_dim": 2, "kv_heads": kv})))
        for kv in (2, 0)
    )
    randomise(shared)
    state = shared.state_dict()
    for name in ("key.weight", "key.bias", "value.weight", "value.bias"):
        state[name] = state[name].unflatten(0, (2, 2)).repeat_interleave(2, 0).flatten(0, 1)
    full.load_state_dict(state)
    x = make_input(shape)
    assert torch.allclose(shared(x), full(x), atol=1e-6)


@pytest.mark.parametrize(
    ("params", "told"),
    [({"heads": 4, "kv_heads": 3}, "kv_heads 3"), ({"rotary": True, "head_dim": 3}, "even head_dim")],
)
def test_heads_that_cannot_be_are_refused(params: dict[str, int], told: str) -> None:
    with pytest.raises(BlockError, match=told):
        BLOCKS["self_attention"].out_shape((TokensShape(6, 8),), complete("self_attention", {"heads": 2} | params))


def test_patches_must_divide_the_image() -> None:
    params = complete("patch_embedding", {"features": 8, "patch": 3})
    with pytest.raises(BlockError, match="patch 3"):
        BLOCKS["patch_embedding"].out_shape((ImageShape(3, 8, 8),), params)


def test_fourier_mixing_equals_the_fast_fourier_transform() -> None:
    x = torch.randn(2, 6, 8)
    mixed = TransformMixer(8, fourier=True, norm="none", residual=True)
    expected = x + torch.fft.fft2(x, norm="ortho").real
    assert torch.allclose(mixed(x), expected, atol=1e-5)


def test_relative_vectors_follow_the_distance_of_patches() -> None:
    vectors = RelativeVectors(1, 2)
    with torch.no_grad():
        vectors.rows.copy_(torch.arange(4.0)[:, None].expand(4, 2))
        vectors.columns.copy_(10 * torch.arange(4.0)[:, None].expand(4, 2))
        table = vectors(10)[:, :, 0]
    assert (table[0] == 0).all()
    assert (table[:, 0] == 0).all()
    # From patch (0, 0) to patches (0, 0), (0, 1), (0, 2), (1, 0): distances are clipped at 1.
    assert table[1, 1:5].tolist() == [22.0, 32.0, 32.0, 23.0]
    assert table[4, 1].item() == 21.0


def test_token_reduction_keeps_the_input_on_its_shortcut() -> None:
    module = TokenReduction(2, 3, 1)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.arange(10.0).reshape(1, 5, 2)
    expected = torch.tensor([[[0.0, 1.0, 0.0], [5.0, 6.0, 0.0]]])
    assert torch.equal(module(x), expected)


@pytest.mark.parametrize(
    ("kind", "params"),
    [("token_reduction", {"features": 8}), ("self_attention", {"heads": 1, "relative_positions": 2})],
)
def test_blocks_on_squares_of_patches_refuse_other_lengths(kind: str, params: dict[str, int]) -> None:
    with pytest.raises(BlockError, match="square"):
        BLOCKS[kind].out_shape((TokensShape(12, 8),), complete(kind, params))
