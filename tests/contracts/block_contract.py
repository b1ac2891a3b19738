"""What every block kind promises: cost and shapes equal the real module, elastic equals plain, exactly."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.blocks.registry import BLOCKS
from search_spaces.elastic.elastic_block import ElasticBlock
from search_spaces.elastic.registry import MODULES
from search_spaces.network import Envelope
from search_spaces.shapes import ImageShape, Shape, TokensShape

Case = tuple[tuple[Shape, ...], dict[str, Any]]


def complete(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the block's defaults filled in."""
    return {param.name: params.get(param.name, param.default) for param in BLOCKS[kind].params}


def make_input(shape: Shape, seed: int = 0, batch: int = 2, vocabulary: int = 0) -> torch.Tensor:
    """A random input of this shape; token ids where a vocabulary is given."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(shape, ImageShape):
        return torch.randn(batch, shape.channels, shape.height, shape.width, generator=generator)
    if isinstance(shape, TokensShape):
        if vocabulary:
            return torch.randint(0, vocabulary, (batch, shape.length), generator=generator)
        return torch.randn(batch, shape.length, shape.features, generator=generator)
    return torch.randn(batch, shape.features, generator=generator)


def shape_of(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(value.shape[1:])


def randomise(module: torch.nn.Module, seed: int = 1) -> None:
    """Random weights everywhere, norms included: all-ones scales would prove nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + 0.1)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
            elif name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))


def counted_macs(module: torch.nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-accumulates of one example by torch's own counter (grad enabled, unfused attention)."""
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        module(*[value[:1] for value in inputs])
    return int(counter.get_total_flops()) // 2


class BlockContract:
    """Inherit with `kind`, `inputs` (each a list of possible shapes) and `options` (parameter -> values).

    Every combination of the options is one case.
    """

    kind: ClassVar[str]
    inputs: ClassVar[list[list[Shape]]]
    options: ClassVar[dict[str, list[Any]]]
    vocabulary: ClassVar[int] = 0

    def cases(self) -> list[Case]:
        names = list(self.options)
        result = []
        for shapes in product(*self.inputs):
            for values in product(*self.options.values()):
                result.append((shapes, complete(self.kind, dict(zip(names, values, strict=True)))))
        return result

    def module(self, case: Case) -> torch.nn.Module:
        spec = MODULES[self.kind]
        return spec.cls(**spec.arguments(*case))

    def values(self, case: Case) -> list[torch.Tensor]:
        return [make_input(shape, number, vocabulary=self.vocabulary) for number, shape in enumerate(case[0])]

    def elastic(self) -> ElasticBlock:
        cases = self.cases()
        params = {
            name: tuple(sorted({params[name] for _, params in cases}, key=lambda v: (str(type(v)), v)))
            for name in cases[0][1]
        }
        return ElasticBlock(Envelope("layer", self.kind, params, tuple(map(tuple, self.inputs))), seed=0)

    def test_cost_and_shape_equal_the_real_module(self) -> None:
        block = BLOCKS[self.kind]
        for case in self.cases():
            module, values = self.module(case), self.values(case)
            cost = block.cost(*case)
            assert cost.macs == counted_macs(module, *values), case
            assert cost.params == sum(parameter.numel() for parameter in module.parameters()), case
            expected = tuple(getattr(block.out_shape(*case), f.name) for f in fields(block.out_shape(*case)))
            assert shape_of(module(*values)) == expected, case
            sizes = [value[0].numel() for value in values]
            assert cost.peak_elements >= max(*sizes, int(np.prod(expected))), case

    def test_later_tokens_are_seen_where_the_block_says_so(self) -> None:
        block = BLOCKS[self.kind]
        for case in self.cases():
            shapes = (*case[0], block.out_shape(*case))
            if not all(isinstance(shape, TokensShape) for shape in shapes):
                pytest.skip("not from sequences to a sequence")
            module = self.module(case).eval()
            randomise(module)
            others = [torch.cat((value[:, :2], value[:, 2:].roll(1, 0)), 1) for value in self.values(case)]
            with torch.no_grad():
                before, after = (module(*values)[:, :2] for values in (self.values(case), others))
            assert torch.equal(before, after) != bool(block.sees_later(case[1])), case

    def test_vectorised_cost_equals_scalar_cost(self) -> None:
        block, cases = BLOCKS[self.kind], self.cases()
        shapes = tuple(
            type(first)(**{f.name: np.array([getattr(case[0][i], f.name) for case in cases]) for f in fields(first)})
            for i, first in enumerate(cases[0][0])
        )
        params = {name: np.array([case[1][name] for case in cases]) for name in cases[0][1]}
        together = block.cost(shapes, params)
        for name in ("macs", "params", "activations", "peak_elements"):
            column = np.broadcast_to(getattr(together, name), (len(cases),))
            assert column.tolist() == [getattr(block.cost(*case), name) for case in cases], name

    def test_elastic_forward_and_extraction_equal_the_plain_module(self) -> None:
        elastic = self.elastic()
        randomise(elastic)
        elastic.eval()
        for case in self.cases():
            skeleton = elastic.skeleton(*case)
            plain = self.module(case).eval()
            plain.load_state_dict(elastic.extracted(skeleton).state_dict())
            values = self.values(case)
            with torch.no_grad():
                assert torch.equal(elastic(skeleton, *values), plain(*values)), case

    def test_gradients_land_only_in_used_slices(self) -> None:
        elastic = self.elastic()
        randomise(elastic)
        elastic.train()
        for case in self.cases()[:: max(1, len(self.cases()) // 12)]:
            elastic.zero_grad()
            skeleton = elastic.skeleton(*case)
            output = elastic(skeleton, *self.values(case))
            if not output.requires_grad:
                pytest.skip("a block without weights")
            (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
            masks = dict(elastic.used(skeleton))
            for name, parameter in elastic.named_parameters():
                gradient = parameter.grad
                if name not in masks:
                    assert gradient is None or not gradient.any(), (case, name)
                elif gradient is not None:
                    assert not gradient[~masks[name]].any(), (case, name)

    def test_running_statistics_move_only_in_used_slices(self) -> None:
        elastic = self.elastic()
        elastic.train()
        case = self.cases()[0]
        skeleton = elastic.skeleton(*case)
        if not skeleton.norms:
            pytest.skip("a block without batch norm")
        elastic(skeleton, *self.values(case))
        for leaf, owner in skeleton.norms:
            assert owner.running_mean[: leaf.num_features].any()
            assert not owner.running_mean[leaf.num_features :].any()
            assert (owner.running_var[leaf.num_features :] == 1).all()

    def test_widest_module_keeps_no_borrowed_tensors(self) -> None:
        elastic = self.elastic()
        skeleton = elastic.skeleton(*self.cases()[0])
        elastic(skeleton, *self.values(self.cases()[0]))
        assert all(tensor.is_meta for tensor in skeleton.module.state_dict().values())
