"""Texts of one batch have one length: what fills the shorter ones must not reach their answers."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from search_spaces.elastic.registry import MODULES
from search_spaces.network import Network

# Causal language models need no mask: no position sees what stands behind it, and padding stands behind the text.
_PADDED_TASKS = ("sequence_classification", "masked_lm")


def real_tokens(x: torch.Tensor) -> torch.Tensor:
    """Which of the token ids (N, L) are not padding, whose id is 0; the first one never is."""
    return torch.cat((torch.ones_like(x[:, :1], dtype=torch.bool), x[:, 1:] != 0), 1)


def call_inputs(network: Network) -> tuple[tuple[int, ...], ...]:
    """For each node the indices of the values its module is called with.

    Last comes, where it tells padding apart, a mask: -s for which of its tokens are real where each stands for s of
    the network's. Padding stands behind the text, so one that stands for several is real where the first of these is.
    """
    padded = network.task in _PADDED_TASKS
    steps, calls = [1], []  # per value how many of the network's tokens each of its tokens stands for, 0 for none
    for node in network.nodes:
        spec, masked = MODULES[node.block], 0
        if padded and spec.masks:
            masked = steps[node.inputs[spec.masked_input]]
        calls.append((*node.inputs, -masked) if masked else node.inputs)
        step = steps[node.inputs[0]] * spec.keeps_places
        steps.append(step * int(node.params[spec.shortens] or 1) if spec.shortens else step)
    return tuple(calls)


def masks_of(calls: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The masks, each once, among the indices of values that modules are called with."""
    return tuple(sorted({value for inputs in calls for value in inputs if value < 0}))
