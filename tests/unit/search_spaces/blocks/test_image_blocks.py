"""The contract of every block on feature maps."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from search_spaces.blocks.arithmetic import ACTIVATIONS
from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.initialise import initialise
from search_spaces.elastic.norms import LayerScale
from search_spaces.elastic.plumbing import ChannelShuffle, Dropout
from search_spaces.elastic.registry import MODULES
from search_spaces.elastic.resizing import MapTokens, TokenMap
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape
from tests.contracts.block_contract import BlockContract, Case, complete, make_input


def test_both_halves_know_the_same_kinds() -> None:
    assert set(BLOCKS) == set(MODULES)
    assert all(block.kind == kind for kind, block in BLOCKS.items())


class TestConvBNAct(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(3, 8, 8), ImageShape(6, 7, 7)]]
    options: ClassVar = {
        "out": [4, 8],
        "kernel": [1, 3, 5],
        "stride": [1, 2],
        "norm": [True, False],
        "activation": ["hswish"],
    }


class TestGroupedConvolution(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(4, 6, 6), ImageShape(8, 6, 6)]]
    options: ClassVar = {"out": [8, 16], "group_size": [2, 4], "kernel": [1, 3]}


class TestDilatedConvolution(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(4, 7, 6)]]
    options: ClassVar = {
        "out": [4, 8],
        "kernel": [1, 3, 5],
        "stride": [1, 2],
        "dilation": [1, 2, 6],
        "group_size": [0, 1],
    }


class TestConvolutionWithKernelsOfTwoSides(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(4, 7, 6)]]
    options: ClassVar = {
        "out": [4, 8],
        "kernel": [1, 3],
        "kernel_width": [0, 1, 5],
        "stride": [1, 2],
        "dilation": [1, 2],
        "group_size": [0, 1],
    }


class TestConvolutionWithEvenKernels(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(8, 8, 16), ImageShape(4, 4, 8)]]
    options: ClassVar = {"out": [8], "kernel": [2, 3, 4], "stride": [2, 4], "group_size": [0, 4]}

    def cases(self) -> list[Case]:
        return [case for case in super().cases() if (case[1]["kernel"], case[1]["stride"]) != (2, 4)]


class TestConvolutionWithoutNorm(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(4, 6, 6)]]
    options: ClassVar = {"out": [4, 8], "norm": [True, False], "bias": [True, False]}


class TestConvWithKernelTransform(BlockContract):
    kind = "conv_bn_act"
    inputs: ClassVar = [[ImageShape(3, 8, 8)]]
    options: ClassVar = {"out": [4, 6], "kernel": [1, 3, 5, 7], "kernel_transform": [True]}


class TestMBConv(BlockContract):
    kind = "mbconv"
    inputs: ClassVar = [[ImageShape(8, 8, 8), ImageShape(16, 8, 8)]]
    options: ClassVar = {
        "out": [8, 16],
        "mid": [16, 24, 48],
        "kernel": [3, 5],
        "stride": [1, 2],
        "se_ratio": [0.0, 0.25],
        "activation": ["hswish"],
    }


class TestMBConvWithSqueezeFromItsInput(BlockContract):
    kind = "mbconv"
    inputs: ClassVar = [[ImageShape(8, 8, 8), ImageShape(18, 8, 8)]]
    options: ClassVar = {
        "out": [8],
        "mid": [16, 48],
        "se_ratio": [0.0, 0.25],
        "se_from": ["mid", "in"],
        "activation": ["swish"],
    }


class TestMBConvWithKernelTransform(BlockContract):
    kind = "mbconv"
    inputs: ClassVar = [[ImageShape(8, 8, 8)]]
    options: ClassVar = {"out": [8], "mid": [16, 24], "kernel": [3, 5, 7], "kernel_transform": [True]}


class TestImageHead(BlockContract):
    kind = "image_head"
    inputs: ClassVar = [[ImageShape(8, 4, 4), ImageShape(12, 2, 2)]]
    options: ClassVar = {"out": [10], "hidden": [0, 16, 24], "hidden_bias": [True, False], "dropout": [0.2]}


class TestIdentity(BlockContract):
    kind = "identity"
    inputs: ClassVar = [[ImageShape(4, 4, 4)]]
    options: ClassVar = {}


class TestZero(BlockContract):
    kind = "zero"
    inputs: ClassVar = [[ImageShape(4, 4, 4)]]
    options: ClassVar = {}


class TestActivation(BlockContract):
    kind = "activation"
    inputs: ClassVar = [[ImageShape(4, 4, 4)]]
    options: ClassVar = {"activation": list(ACTIVATIONS)}


class TestMean(BlockContract):
    kind = "mean"
    inputs: ClassVar = [[ImageShape(4, 4, 4)], [ImageShape(4, 4, 4)], [ImageShape(4, 4, 4)]]
    options: ClassVar = {}

    def test_it_is_the_mean(self) -> None:
        x, y, z = (make_input(ImageShape(4, 4, 4), number) for number in range(3))
        assert torch.allclose(self.module(self.cases()[0])(x, y, z), torch.stack((x, y, z)).mean(0))


class TestTransposedConv(BlockContract):
    kind = "transposed_conv"
    inputs: ClassVar = [[ImageShape(4, 3, 5), ImageShape(6, 4, 2)]]
    options: ClassVar = {
        "out": [4, 6],
        "kernel": [3, 4, 5],
        "stride": [2, 3],
        "norm": [True, False],
        "bias": [True, False],
    }


class TestMultiply(BlockContract):
    kind = "multiply"
    inputs: ClassVar = [[ImageShape(4, 4, 4)], [ImageShape(4, 4, 4), ImageShape(4, 1, 1), ImageShape(1, 4, 4)]]
    options: ClassVar = {}


class TestMapTimesVector(BlockContract):
    kind = "multiply"
    inputs: ClassVar = [[ImageShape(4, 4, 3)], [VectorShape(4)]]
    options: ClassVar = {}


class TestTokensTimesVector(BlockContract):
    kind = "multiply"
    inputs: ClassVar = [[TokensShape(3, 4)], [VectorShape(4)]]
    options: ClassVar = {}


class TestUpsample(BlockContract):
    kind = "upsample"
    inputs: ClassVar = [[ImageShape(4, 3, 5), ImageShape(6, 7, 2)]]
    options: ClassVar = {"factor": [1, 2, 4], "height": [0, 13], "mode": ["nearest", "bilinear"]}


class TestSpaceToDepth(BlockContract):
    kind = "space_to_depth"
    inputs: ClassVar = [[ImageShape(3, 8, 4), ImageShape(6, 4, 4)]]
    options: ClassVar = {"patch": [1, 2, 4]}


class TestGlobalPool(BlockContract):
    kind = "global_pool"
    inputs: ClassVar = [[ImageShape(3, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {"operation": ["avg", "max"], "over": ["map", "height", "width"]}


class TestFlatten(BlockContract):
    kind = "flatten"
    inputs: ClassVar = [[ImageShape(3, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {}


class TestMapNorm(BlockContract):
    kind = "map_norm"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {}


class TestLayerScale(BlockContract):
    kind = "layer_scale"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {"start": [1e-6]}


class TestLayerScaleOfTokens(BlockContract):
    kind = "layer_scale"
    inputs: ClassVar = [[TokensShape(4, 8), TokensShape(6, 4)]]
    options: ClassVar = {}


class TestBias(BlockContract):
    kind = "bias"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {}


class TestBiasOfTokens(BlockContract):
    kind = "bias"
    inputs: ClassVar = [[TokensShape(4, 8), TokensShape(6, 4)]]
    options: ClassVar = {}


class TestDropout(BlockContract):
    kind = "dropout"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {"rate": [0.0, 0.5]}


class TestMapTokens(BlockContract):
    kind = "map_tokens"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {"class_token": [True, False], "positions": [True, False]}


class TestTokenMap(BlockContract):
    kind = "token_map"
    inputs: ClassVar = [[TokensShape(4, 8), TokensShape(6, 4)]]
    options: ClassVar = {"height": [1, 2]}


class TestScale(BlockContract):
    kind = "scale"
    inputs: ClassVar = [[ImageShape(4, 8, 4), ImageShape(6, 1, 1)]]
    options: ClassVar = {"factor": [-1.0, 0.5], "offset": [0.0, 1.0]}


class TestPartOfTheFeatures(BlockContract):
    kind = "channel_part"
    inputs: ClassVar = [[TokensShape(4, 8), TokensShape(6, 4)]]
    options: ClassVar = {"part": [0, 1]}


def test_patches_as_channels_and_a_1x1_convolution_are_a_convolution_of_patches() -> None:
    x = make_input(ImageShape(3, 8, 12))
    weight = torch.randn(5, 3, 4, 4)
    patches = torch.nn.PixelUnshuffle(4)(x)
    expected = torch.nn.functional.conv2d(x, weight, stride=4)
    assert torch.allclose(torch.einsum("oc,nchw->nohw", weight.flatten(1), patches), expected, atol=1e-4)


def test_a_map_as_tokens_is_the_same_map_again() -> None:
    x = make_input(ImageShape(3, 4, 6))
    assert torch.equal(TokenMap(4)(MapTokens(24, 3, False, False)(x)), x)


def test_dropout_is_for_training_alone() -> None:
    layer, x = Dropout(0.5), torch.ones(8, 64)
    assert not torch.equal(layer(x), x)
    assert torch.equal(layer.eval()(x), x)


def test_a_learned_scale_starts_where_it_is_told() -> None:
    scale = LayerScale(4, 1e-6, True)
    initialise(scale, 0, "scale")
    assert (scale.weight == 1e-6).all()


@pytest.mark.parametrize(
    ("kind", "shapes", "params", "told"),
    [
        ("multiply", (ImageShape(4, 4, 4), ImageShape(4, 2, 4)), {}, "height differs"),
        ("multiply", (ImageShape(4, 4, 4), VectorShape(3)), {}, "channels differs"),
        ("multiply", (VectorShape(4), ImageShape(4, 4, 4)), {}, "one kind"),
        ("upsample", (ImageShape(4, 8, 8),), {"height": 5}, "cannot make height 5 of 8"),
        ("mean", (ImageShape(4, 4, 4), ImageShape(4, 2, 4)), {}, "mean needs inputs of one shape; height differs"),
        ("transposed_conv", (ImageShape(4, 8, 8),), {"out": 4, "kernel": 2, "stride": 4}, "below the stride 4"),
        ("space_to_depth", (ImageShape(4, 8, 6),), {"patch": 4}, "patch 4 must divide the width 6"),
        ("conv_bn_act", (ImageShape(4, 8, 8),), {"out": 4, "kernel": 4}, "a stride of 2 or 4 that it covers"),
        ("conv_bn_act", (ImageShape(4, 8, 8),), {"out": 4, "kernel": 2, "stride": 4}, "kernel 2, stride 4"),
        ("conv_bn_act", (ImageShape(4, 8, 6),), {"out": 4, "kernel": 4, "stride": 4}, "must divide the width 6"),
        ("token_map", (TokensShape(9, 8),), {"height": 2}, "height 2 must divide the length 9"),
    ],
)
def test_what_does_not_fit_is_told(kind: str, shapes: tuple[Shape, ...], params: dict[str, int], told: str) -> None:
    with pytest.raises(BlockError, match=told):
        BLOCKS[kind].out_shape(shapes, complete(kind, params))


class TestChannelShuffle(BlockContract):
    kind = "channel_shuffle"
    inputs: ClassVar = [[ImageShape(12, 4, 4), ImageShape(24, 4, 4)]]
    options: ClassVar = {"groups": [1, 2, 3]}


class TestChannelPart(BlockContract):
    kind = "channel_part"
    inputs: ClassVar = [[ImageShape(12, 4, 4), ImageShape(24, 4, 4)]]
    options: ClassVar = {"part": [0, 1], "parts": [2, 3]}


class TestChannelSlice(BlockContract):
    kind = "channel_slice"
    inputs: ClassVar = [[ImageShape(12, 4, 4), ImageShape(7, 4, 4)]]
    options: ClassVar = {"start": [0, 3], "size": [0, 1, 4]}


class TestSliceOfTheFeatures(BlockContract):
    kind = "channel_slice"
    inputs: ClassVar = [[TokensShape(4, 8), TokensShape(6, 4)]]
    options: ClassVar = {"start": [0, 3], "size": [0, 1]}


def test_complements_and_slices_are_what_they_say() -> None:
    x = make_input(VectorShape(5))
    assert torch.equal(module_of("scale", x, factor=-1, offset=1)(x), 1 - x)
    assert torch.equal(module_of("channel_slice", x, start=1, size=3)(x), x[:, 1:4])
    assert torch.equal(module_of("channel_slice", x, start=2)(x), x[:, 2:])


def module_of(kind: str, x: torch.Tensor, **params: float) -> torch.nn.Module:
    spec = MODULES[kind]
    return spec.cls(**spec.arguments((VectorShape(x.shape[1]),), complete(kind, params)))


def test_shuffle_takes_channels_from_the_groups_in_turn() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


class TestAdd(BlockContract):
    kind = "add"
    inputs: ClassVar = [[ImageShape(4, 4, 4)], [ImageShape(4, 4, 4)], [ImageShape(4, 4, 4)]]
    options: ClassVar = {}


class TestConcat(BlockContract):
    kind = "concat"
    inputs: ClassVar = [[ImageShape(4, 4, 4), ImageShape(2, 4, 4)], [ImageShape(3, 4, 4)]]
    options: ClassVar = {}


def test_blocks_refuse_inputs_of_another_kind() -> None:
    with pytest.raises(BlockError, match="feature map"):
        BLOCKS["conv_bn_act"].out_shape((VectorShape(4),), complete("conv_bn_act", {"out": 4}))


def test_add_names_the_dimension_that_differs() -> None:
    with pytest.raises(BlockError, match="channels"):
        BLOCKS["add"].out_shape((ImageShape(4, 4, 4), ImageShape(5, 4, 4)), {})


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("conv_bn_act", {"out": 4, "group_size": 3}, "group_size 3 must divide the 4 input"),
        ("conv_bn_act", {"out": 6, "group_size": 1}, "4 groups .* must divide the 6 output"),
        ("channel_shuffle", {"groups": 3}, "groups 3 must divide the 4 channels"),
        ("channel_part", {"part": 0, "parts": 3}, "parts 3 must divide the 4 channels"),
        ("channel_part", {"part": 2}, "no part 2 among 2"),
        ("channel_slice", {"start": 2, "size": 3}, "3 channels from 2 on does not fit in 4"),
        ("channel_slice", {"start": 4}, "from 4 on does not fit in 4"),
    ],
)
def test_groups_and_parts_must_divide_the_channels(kind: str, params: dict[str, int], message: str) -> None:
    with pytest.raises(BlockError, match=message):
        BLOCKS[kind].out_shape((ImageShape(4, 4, 4),), complete(kind, params))


class TestBasicBlock(BlockContract):
    kind = "basic_block"
    inputs: ClassVar = [[ImageShape(8, 8, 8), ImageShape(12, 7, 7)]]
    options: ClassVar = {"out": [8, 12], "mid": [4, 8], "stride": [1, 2], "kernel": [3, 5]}


class TestBasicBlockWithPaddedShortcut(BlockContract):
    kind = "basic_block"
    inputs: ClassVar = [[ImageShape(8, 8, 8)]]
    options: ClassVar = {"out": [8, 11, 6], "mid": [8], "stride": [1, 2], "shortcut": ["pad"]}


class TestBasicBlockWithPooledShortcut(BlockContract):
    kind = "basic_block"
    inputs: ClassVar = [[ImageShape(8, 7, 7)]]
    options: ClassVar = {"out": [8, 16], "mid": [8], "stride": [1, 2], "shortcut": ["pool_project"]}


class TestShortcut(BlockContract):
    kind = "shortcut"
    inputs: ClassVar = [[ImageShape(8, 7, 7), ImageShape(12, 8, 8)]]
    options: ClassVar = {"out": [8, 11], "stride": [1, 2], "operation": ["project", "pad"]}


class TestPooledShortcut(BlockContract):
    kind = "shortcut"
    inputs: ClassVar = [[ImageShape(8, 7, 7)]]
    options: ClassVar = {"out": [8, 16], "stride": [1, 2], "operation": ["pool_project"]}


class TestBottleneck(BlockContract):
    kind = "bottleneck"
    inputs: ClassVar = [[ImageShape(8, 8, 8), ImageShape(16, 8, 8)]]
    options: ClassVar = {"out": [16, 24], "mid": [4, 8], "stride": [1, 2], "kernel": [3]}


class TestReluConvBN(BlockContract):
    kind = "relu_conv_bn"
    inputs: ClassVar = [[ImageShape(4, 8, 8)]]
    options: ClassVar = {"out": [4, 8], "kernel": [1, 3], "stride": [1, 2], "affine": [True, False]}


class TestSepConv(BlockContract):
    kind = "sep_conv"
    inputs: ClassVar = [[ImageShape(4, 8, 8), ImageShape(6, 8, 8)]]
    options: ClassVar = {"out": [4, 6], "kernel": [3, 5], "stride": [1, 2], "layers": [2, 3]}


class TestDilatedConv(BlockContract):
    kind = "sep_conv"
    inputs: ClassVar = [[ImageShape(4, 8, 8)]]
    options: ClassVar = {"out": [4], "kernel": [3, 5], "stride": [1, 2], "layers": [1], "dilation": [2]}


class TestFactorizedReduce(BlockContract):
    kind = "factorized_reduce"
    inputs: ClassVar = [[ImageShape(4, 8, 8), ImageShape(6, 7, 7)]]
    options: ClassVar = {"out": [4, 8, 9]}


class TestBNRelu(BlockContract):
    kind = "bn_relu"
    inputs: ClassVar = [[ImageShape(4, 4, 4), ImageShape(8, 4, 4)]]
    options: ClassVar = {"activation": ["relu", "none"]}


class TestPool(BlockContract):
    kind = "pool"
    inputs: ClassVar = [[ImageShape(4, 8, 8), ImageShape(6, 7, 7)]]
    options: ClassVar = {"operation": ["avg", "max"], "kernel": [3, 5], "stride": [1, 2]}


class TestHalvingPool(BlockContract):
    kind = "pool"
    inputs: ClassVar = [[ImageShape(4, 8, 8), ImageShape(6, 7, 7)]]
    options: ClassVar = {"operation": ["avg", "max"], "kernel": [2], "stride": [2], "norm": [True]}


class TestSkipConnect(BlockContract):
    kind = "skip_connect"
    inputs: ClassVar = [[ImageShape(4, 8, 8), ImageShape(6, 7, 7)]]
    options: ClassVar = {"out": [4, 6], "stride": [1, 2], "affine": [True, False], "always": [True, False]}
