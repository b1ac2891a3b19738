"""The linear layer of skeletons against autograd's own."""

import pytest
import torch
import torch.nn.functional as F

from search_spaces.elastic.lent_linear import LEAST_ELEMENTS, LentLinear

OUT, IN = 288, 256  # above LEAST_ELEMENTS
LAYOUTS = {"rows apart": (slice(0, OUT), slice(0, IN)), "rows together": (slice(0, OUT), slice(None))}


def lent_layer(index: tuple[slice, slice], dtype: torch.dtype) -> LentLinear:
    """A layer over a part of a wider weight, as a skeleton has it while it runs."""
    widest = torch.randn(OUT + 32, IN + 64 if index[1].stop else IN, dtype=dtype)
    layer = LentLinear(IN, OUT, device="meta")
    layer._parameters["weight"] = widest[index].requires_grad_()  # type: ignore[assignment]
    layer._parameters["bias"] = torch.randn(OUT, dtype=dtype).requires_grad_()  # type: ignore[assignment]
    return layer


@pytest.mark.parametrize("shape", [(5, IN), (3, 4, IN), (2, 3, 4, IN)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients_are_those_of_linear(shape: tuple[int, ...], layout: str) -> None:
    assert OUT * IN >= LEAST_ELEMENTS
    torch.manual_seed(0)
    layer = lent_layer(LAYOUTS[layout], torch.float64)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    leaves = (x, layer.weight, layer.bias)
    weighting = torch.randn(*shape[:-1], OUT, dtype=torch.float64)
    found = layer(x)
    wanted = F.linear(x, layer.weight, layer.bias)
    assert torch.equal(found, wanted)
    ours = torch.autograd.grad((found * weighting).sum(), leaves)
    theirs = torch.autograd.grad((wanted * weighting).sum(), leaves)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_lent_weight_has_its_layout() -> None:
    """What the layer is for: adding to a gradient of another layout takes several times as long."""
    layer = lent_layer(LAYOUTS["rows apart"], torch.float32)
    x = torch.randn(5, IN)
    (ours,) = torch.autograd.grad(layer(x).sum(), [layer.weight])
    (theirs,) = torch.autograd.grad(F.linear(x, layer.weight).sum(), [layer.weight])
    assert ours.is_contiguous()
    assert not theirs.is_contiguous(), "torch makes it so by itself now: LentLinear can go"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_that_stands_there_is_added_to_in_place(layout: str) -> None:
    layer = lent_layer(LAYOUTS[layout], torch.float64)
    x = torch.randn(3, 4, IN, dtype=torch.float64)
    layer(x).square().sum().backward()
    wanted = layer.weight.grad
    assert wanted is not None
    widest = torch.ones(OUT + 32, IN + 64, dtype=torch.float64)
    part = layer.weight.grad = widest[:OUT, :IN]
    layer(x).square().sum().backward()
    layer(x).square().sum().backward()
    assert layer.weight.grad is part
    torch.testing.assert_close(part, 1 + 2 * wanted, rtol=1e-12, atol=1e-12)
    assert (widest[OUT:] == 1).all()
    assert (widest[:, IN:] == 1).all()


def test_who_asks_for_other_gradients_changes_none_of_the_weight() -> None:
    layer = lent_layer(LAYOUTS["rows apart"], torch.float32)
    x = torch.randn(5, IN, requires_grad=True)
    layer.weight.grad = torch.ones(OUT, IN)
    loss = layer(x).sum()
    torch.autograd.grad(loss, [x, layer.bias], retain_graph=True)
    loss.backward(inputs=[x], retain_graph=True)
    assert (layer.weight.grad == 1).all()
    loss.backward(inputs=[layer.weight])
    torch.testing.assert_close(layer.weight.grad, 1 + x.detach().sum(0).expand(OUT, IN))


def test_the_hooks_of_a_parameter_are_called() -> None:
    """What is lent whole is the parameter itself."""
    layer = LentLinear(IN, OUT)
    arrived: list[torch.Size] = []
    layer.weight.register_hook(lambda gradient: arrived.append(gradient.shape))
    for _ in range(2):
        layer(torch.randn(5, IN)).sum().backward()
    assert arrived == [layer.weight.shape] * 2


def test_under_autocast_it_is_linear() -> None:
    layer = lent_layer(LAYOUTS["rows apart"], torch.float32)
    x = torch.randn(5, IN)
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = layer(x), F.linear(x, layer.weight, layer.bias)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted)
    found.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_frozen_parts_get_no_gradient() -> None:
    layer = lent_layer(LAYOUTS["rows apart"], torch.float32)
    layer.weight.requires_grad_(False)
    layer(torch.randn(5, IN)).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    assert torch.equal(layer.bias.grad, torch.full((OUT,), 5.0))
