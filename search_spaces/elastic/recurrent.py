"""Plain module of recurrent layers; every gate has linear layers of its own, so that narrower states are slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.blocks.arithmetic import tokens
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class RecurrentLayer(nn.Module):
    """(N, L, F) to the states (N, L, features) of a GRU or an LSTM; in the padding of a text states are 0."""

    def __init__(self, in_features: int, features: int, gates: int) -> None:
        super().__init__()
        self.of_tokens = nn.ModuleList(nn.Linear(in_features, features) for _ in range(gates))
        self.of_states = nn.ModuleList(nn.Linear(features, features) for _ in range(gates))

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        given = [layer(x).unbind(1) for layer in self.of_tokens]
        kept = None if real is None else real.to(x.dtype)[..., None].unbind(1)
        state = memory = torch.zeros_like(given[0][0])
        states = []
        for place, parts in enumerate(zip(*given, strict=True)):
            more = [layer(state) for layer in self.of_states]
            if len(parts) == 3:
                reset, update = (parts[0] + more[0]).sigmoid(), (parts[1] + more[1]).sigmoid()
                state = update * state + (1 - update) * (parts[2] + reset * more[2]).tanh()
            else:
                enter, forget, leave = (parts[k] + more[k] for k in (0, 1, 3))
                memory = forget.sigmoid() * memory + enter.sigmoid() * (parts[2] + more[2]).tanh()
                state = leave.sigmoid() * memory.tanh()
            if kept is not None:
                state, memory = state * kept[place], memory * kept[place]
            states.append(state)
        return torch.stack(states, 1)


class Recurrent(nn.Module):
    """One recurrent layer, or two side by side of which one reads from the end."""

    def __init__(self, in_features: int, features: int, gates: int, bidirectional: bool) -> None:
        super().__init__()
        self.onward = RecurrentLayer(in_features, features, gates)
        self.back = RecurrentLayer(in_features, features, gates) if bidirectional else None

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.onward(x, real)
        if self.back is None:
            return y
        return torch.cat((y, self.back(x.flip(1), None if real is None else real.flip(1)).flip(1)), 2)


def recurrent_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_features": tokens(inputs, "recurrent").features,
        "features": p["features"],
        "gates": 4 if p["cell"] == "lstm" else 3,
        "bidirectional": bool(p["bidirectional"]),
    }


RECURRENT = ModuleSpec(Recurrent, recurrent_arguments, helpers=(RecurrentLayer,), masks=True)
