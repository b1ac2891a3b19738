"""ONNX files compute what the module computes, for every batch size and every kind of operation."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from search_spaces.elastic.plain import build_plain
from search_spaces.library_index import load_library
from workers.measure import onnx_file
from workers.measure.onnx_file import write_onnx, write_traced
from workers.measure.torch_runner import example_input

# One space of each family of operations that is small enough for a unit test.
SPACES = ("digits-mobile", "digits-vit", "darts-cell", "nasbench201-cell", "resnet-cifar", "gpt-tiny")


def outputs(path, x: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {onnx_file.INPUT_NAME: x.numpy()})
    return found


@pytest.mark.parametrize("name", SPACES)
def test_the_file_computes_what_the_network_computes(name, tmp_path):
    space = load_library(name)
    network = space.resolve(space.smallest())
    module = build_plain(network, seed=0).eval()
    assert write_traced(module, example_input(network, 2, seed=0), tmp_path / "m.onnx") is None  # the fast way does
    for batch_size in (1, 3):
        x = example_input(network, batch_size, seed=5)
        with torch.no_grad():
            expected = module(x).numpy()
        np.testing.assert_allclose(outputs(tmp_path / "m.onnx", x), expected, rtol=1e-4, atol=1e-5)


class ReadsItsBatchSize(nn.Module):
    """A trace takes the batch size of the example for a constant."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.zeros(int(x.shape[0])).sum() + (1.0 if x.shape[0] == 2 else 0.0)


class ScalesByItsBatchSize(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float(x.shape[0])


@pytest.mark.parametrize("module", [ReadsItsBatchSize(), ScalesByItsBatchSize()])
def test_a_frozen_batch_size_is_noticed(module, tmp_path):
    reason = write_traced(module, torch.randn(2, 3), tmp_path / "m.onnx")
    assert reason is not None


def test_what_cannot_be_traced_is_analysed(tmp_path):
    class ByErrorFunction(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.erfcx(x)  # the tracing exporter has no word for it

    x = torch.rand(5, 3)
    assert write_traced(ByErrorFunction(), x[:2], tmp_path / "m.onnx") is not None
    write_onnx(ByErrorFunction(), x[:2], tmp_path / "m.onnx")
    np.testing.assert_allclose(outputs(tmp_path / "m.onnx", x), torch.special.erfcx(x).numpy(), rtol=1e-4)


def test_a_file_that_computes_something_else_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="computes something else"):
        write_onnx(ScalesByItsBatchSize(), torch.randn(2, 3), tmp_path / "m.onnx")


def test_one_file_with_the_stated_opset_and_a_free_batch(tmp_path):
    write_onnx(nn.Linear(4, 2), torch.zeros(2, 4), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert {o.version for o in model.opset_import if o.domain == ""} == {onnx_file.OPSET}
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param
    with pytest.raises(ValueError, match="two examples"):
        write_onnx(nn.Linear(4, 2), torch.zeros(1, 4), tmp_path / "m.onnx")
