"""Optimiser, learning-rate law, moving average of weights, and their tensors for checkpoints."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas_service.methods.recipes.base import RecipeParams


def learning_rate_at(params: RecipeParams, step: int, num_steps: int) -> float:
    """Linear warm-up, then a cosine from the peak down to the floor, which it reaches at the last step."""
    warmup = min(params.warmup_steps, num_steps // 2)
    if step < warmup:
        return params.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return params.learning_rate * max(params.learning_rate_floor, cosine)


def build_optimiser(params: RecipeParams, net: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; norms, biases and other vectors are exempt from weight decay.

    Decay lives here, not in the losses, so it counts once per step however many subnets are trained. Tensors that
    no subnet of a step used have no gradient, and the optimiser leaves them alone.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if params.optimiser == "adamw":
        betas = (params.momentum, params.second_momentum)
        return torch.optim.AdamW(groups, lr=params.learning_rate, betas=betas, foreach=True)
    return torch.optim.SGD(
        groups, lr=params.learning_rate, momentum=params.momentum, nesterov=params.momentum > 0, foreach=True
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def optimiser_tensors(optimiser: torch.optim.Optimizer, net: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: `PARAMETER/ENTRY`."""
    named = {}
    for name, parameter in net.named_parameters():
        for entry, value in optimiser.state.get(parameter, {}).items():
            if value is not None:
                named[f"{name}/{entry}"] = torch.as_tensor(value)
    return named


def restore_optimiser(optimiser: torch.optim.Optimizer, net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    parameters = dict(net.named_parameters())
    optimiser.state.clear()
    for key, value in tensors.items():
        name, entry = key.rsplit("/", 1)
        parameter = parameters[name]
        if entry == "step":  # stays on the CPU, where the optimiser keeps it
            optimiser.state[parameter][entry] = value.clone()
        else:  # laid out as its parameter, or updates of many at once become updates one by one
            optimiser.state[parameter][entry] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def named_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each shared tensor once."""
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def load_tensors(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the module; ValueError unless names and shapes are exactly the module's own."""
    own = named_tensors(net)
    if own.keys() != tensors.keys():
        different = sorted(own.keys() ^ tensors.keys())
        raise ValueError(f"the weights belong to another network: {len(different)} names differ, as {different[:3]}")
    with torch.no_grad():
        for name, target in own.items():
            if target.shape != tensors[name].shape:
                raise ValueError(
                    f"the weights belong to another network, or were trained by a release that gave this one other "
                    f"widths: {name} has shape {tuple(tensors[name].shape)}, not {tuple(target.shape)}"
                )
            target.copy_(tensors[name])


class MovingAverage:
    """Exponential moving average of the parameters; early on it forgets faster, so no bias remains."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self._names = [name for name, _ in net.named_parameters()]
        self._parameters = [p for _, p in net.named_parameters()]
        self._averages = [p.detach().clone() for p in self._parameters]
        self._decay = decay

    def observe(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        current = [p.detach() for p in self._parameters]
        torch._foreach_lerp_(self._averages, current, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        return dict(zip(self._names, self._averages, strict=True))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(tensors[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the averages as its weights for the duration of the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for parameter, average in zip(self._parameters, self._averages, strict=True):
                kept = parameter.detach().clone()
                parameter.copy_(average)
                average.copy_(kept)
