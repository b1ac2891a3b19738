"""Gradients of lent parts: they arrive where autograd would have put them, whatever stood there before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.elastic import lent_linear
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library

SPACE = load_library("digits-vit-stages")
GENES = [SPACE.smallest(), *SPACE.sample(2, np.random.default_rng(0)), SPACE.largest()]
X = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[0, lent_linear.LEAST_ELEMENTS], ids=["products added", "as autograd does"])
def supernet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Supernet:
    """All its linear layers are below what their own way back pays for, with and without it."""
    monkeypatch.setattr(lent_linear, "LEAST_ELEMENTS", request.param)
    return Supernet(SPACE, seed=1).eval()


def backward(supernet: Supernet, genes: np.ndarray) -> None:
    with supernet.active(genes):
        supernet(X).square().sum().backward()


def gradients(supernet: Supernet) -> dict[str, torch.Tensor]:
    """Copies of the gradients that there are."""
    return {name: p.grad.clone() for name, p in supernet.named_parameters() if p.grad is not None}


def expected(supernet: Supernet, *passes: np.ndarray) -> dict[str, torch.Tensor]:
    """Sum of the gradients of extracted networks, each where the supernet has its tensor."""
    total: dict[str, torch.Tensor] = {}
    for genes in passes:
        plain = supernet.extract(genes)
        plain(X).square().sum().backward()
        masks = supernet.active_parameters(genes)
        for name, parameter in plain.named_parameters():
            assert parameter.grad is not None
            whole = total.setdefault(name, torch.zeros_like(supernet.get_parameter(name)))
            whole[masks[name]] += parameter.grad.flatten()
    return total


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-5, msg=name)


def test_gradients_of_several_passes_add_up(supernet: Supernet) -> None:
    """Largest first, whose tensors are lent whole, and last."""
    for order in (GENES, GENES[::-1]):
        supernet.zero_grad()
        for genes in order:
            backward(supernet, genes)
        assert_close(gradients(supernet), expected(supernet, *order))


def test_nothing_is_left_of_an_earlier_step(supernet: Supernet) -> None:
    for set_to_none in (True, False):
        backward(supernet, GENES[2])
        for parameter in supernet.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(1.0)  # everywhere, not only where a part was lent
        supernet.zero_grad(set_to_none=set_to_none)
        backward(supernet, GENES[1])
        found = {name: value for name, value in gradients(supernet).items() if value.any()}
        assert_close(found, expected(supernet, GENES[1]))
        supernet.zero_grad()


def test_gradients_that_others_have_set_are_added_to(supernet: Supernet) -> None:
    wanted = expected(supernet, GENES[1])
    for name in wanted:
        parameter = supernet.get_parameter(name)
        parameter.grad = torch.ones_like(parameter)
    backward(supernet, GENES[1])
    assert_close(gradients(supernet), {name: value + 1 for name, value in wanted.items()})


def test_parameters_that_move_take_their_gradients_along(supernet: Supernet) -> None:
    backward(supernet, GENES[1])
    supernet.double()
    supernet.zero_grad()
    with supernet.active(GENES[1]):
        supernet(X.double()).square().sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float64 for p in supernet.parameters())
    supernet.float()
    supernet.zero_grad()
    backward(supernet, GENES[1])
    assert_close(gradients(supernet), expected(supernet, GENES[1]))


def test_forward_passes_alone_give_no_gradients_and_frozen_parameters_none_at_all(supernet: Supernet) -> None:
    supernet(X)
    with torch.inference_mode():
        supernet(X)
    assert gradients(supernet) == {}
    backward(supernet, GENES[1])
    supernet.zero_grad()
    frozen = next(
        name for name, p in supernet.named_parameters() if name in expected(supernet, GENES[1]) and p.ndim > 1
    )
    supernet.get_parameter(frozen).requires_grad_(False)
    backward(supernet, GENES[1])
    wanted = expected(supernet, GENES[1])
    del wanted[frozen]
    assert_close(gradients(supernet), wanted)


def test_gradients_of_the_input_alone_leave_those_of_weights(supernet: Supernet) -> None:
    backward(supernet, GENES[1])
    before = gradients(supernet)
    x = X.clone().requires_grad_()
    with supernet.active(GENES[1]):
        torch.autograd.grad(supernet(x).square().sum(), [x])
        supernet(x).square().sum().backward(inputs=[x])
    after = gradients(supernet)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_lent_without_gradients_follows_tensors_that_are_replaced(supernet: Supernet) -> None:
    with supernet.active(GENES[1]), torch.inference_mode():
        supernet(X)
    backward(supernet, GENES[1])  # parts cut under inference mode serve here as well
    assert_close(gradients(supernet), expected(supernet, GENES[1]))
    name = next(name for name, mask in supernet.active_parameters(GENES[1]).items() if not mask.all())
    owner = supernet.get_submodule(name.rpartition(".")[0])
    for new in (nn.Parameter(supernet.get_parameter(name) + 1), nn.Parameter(supernet.get_parameter(name) - 1)):
        setattr(owner, name.rpartition(".")[2], new)
        with supernet.active(GENES[1]), torch.no_grad():
            assert torch.equal(supernet(X), supernet.extract(GENES[1])(X))
            new.data = new * 2
            doubled = supernet(X)
            assert torch.equal(doubled, supernet.extract(GENES[1])(X))


def test_weights_that_change_are_the_ones_that_are_lent(supernet: Supernet) -> None:
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.01)
    for genes in GENES[:3]:
        optimiser.zero_grad()
        backward(supernet, genes)
        optimiser.step()
    with supernet.active(GENES[1]), torch.no_grad():
        assert torch.equal(supernet(X), supernet.extract(GENES[1])(X))


@pytest.mark.filterwarnings("ignore:Using backward")
def test_the_gradient_of_a_gradient_is_refused(supernet: Supernet) -> None:
    with supernet.active(GENES[1]):
        loss = supernet(X).square().sum()
    with pytest.raises(RuntimeError, match="create_graph"):
        loss.backward(create_graph=True)


def test_a_backward_pass_makes_no_gradients_of_the_widest_size_again(supernet: Supernet) -> None:
    backward(supernet, GENES[1])
    before = {name: p.grad for name, p in supernet.named_parameters()}
    supernet.zero_grad()
    backward(supernet, GENES[1])
    parts = supernet.active_parameters(GENES[1])
    sliced = [name for name, mask in parts.items() if not mask.all()]
    assert len(sliced) > 10
    assert all(supernet.get_parameter(name).grad is before[name] for name in sliced)
