"""Texts of one batch have one length: what fills the shorter ones must not reach their answers."""

from __future__ import annotations

import torch

from search_spaces.elastic.registry import MODULES
from search_spaces.network import Network

# Beside the outputs of the nodes a network keeps under this index which of its tokens are real.
REAL = -1
# Causal language models need no mask: no position sees what stands behind it, and padding stands behind the text.
_PADDED_TASKS = ("sequence_classification", "masked_lm")


def real_tokens(x: torch.Tensor) -> torch.Tensor:
    """Which of the token ids (N, L) are not padding, whose id is 0; the first one never is."""
    return torch.cat((torch.ones_like(x[:, :1], dtype=torch.bool), x[:, 1:] != 0), 1)


def call_inputs(network: Network) -> tuple[tuple[int, ...], ...]:
    """For each node the indices of the values its module is called with; REAL last where it tells padding apart."""
    padded = network.task in _PADDED_TASKS
    return tuple(
        (*node.inputs, REAL) if padded and MODULES[node.block].masks else node.inputs for node in network.nodes
    )
