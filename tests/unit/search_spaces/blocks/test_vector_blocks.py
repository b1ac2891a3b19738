"""The contract of every block on vectors."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.vectors import FeatureTokens
from search_spaces.shapes import ImageShape, VectorShape
from tests.contracts.block_contract import BlockContract, complete


class TestLinear(BlockContract):
    kind = "linear"
    inputs: ClassVar = [[VectorShape(8), VectorShape(12)]]
    options: ClassVar = {"out": [4, 10], "norm": [True, False], "activation": ["relu"]}


class TestResidualMLP(BlockContract):
    kind = "residual_mlp"
    inputs: ClassVar = [[VectorShape(8), VectorShape(12)]]
    options: ClassVar = {"mid": [8, 20], "activation": ["gelu"]}


class TestFeatureTokens(BlockContract):
    kind = "feature_tokens"
    inputs: ClassVar = [[VectorShape(6)]]
    options: ClassVar = {"features": [8, 12], "class_token": [True, False]}


class TestUnflatten(BlockContract):
    kind = "unflatten"
    inputs: ClassVar = [[VectorShape(12), VectorShape(24)]]
    options: ClassVar = {"length": [1, 3, 4]}


class TestVectorHead(BlockContract):
    kind = "vector_head"
    inputs: ClassVar = [[VectorShape(8), VectorShape(12)]]
    options: ClassVar = {"out": [5], "norm": [True, False], "activation": ["relu"]}


def test_each_feature_is_a_token_of_its_own() -> None:
    tokens = FeatureTokens(3, 4, class_token=True)
    with torch.no_grad():
        tokens.weight.copy_(torch.arange(12.0).reshape(3, 4))
        tokens.bias.fill_(1.0)
    out = tokens(torch.tensor([[2.0, 0.0, -1.0]]))
    assert out.shape == (1, 4, 4)
    assert torch.equal(out[0, 1], 2 * torch.arange(4.0) + 1)
    assert torch.equal(out[0, 2], torch.ones(4))
    assert torch.equal(out[0, 3], 1 - torch.arange(8.0, 12.0))


@pytest.mark.parametrize("kind", ["linear", "residual_mlp", "feature_tokens", "vector_head"])
def test_other_inputs_are_refused(kind: str) -> None:
    params = complete(kind, {"out": 4, "mid": 4, "features": 4})
    with pytest.raises(BlockError, match="vector"):
        BLOCKS[kind].out_shape((ImageShape(3, 8, 8),), params)
