"""Initial weights, keyed by seed and weight key so that no block's weights depend on another's."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import nn

from search_spaces.elastic.layers import RMSNorm
from search_spaces.elastic.norms import LayerScale
from search_spaces.elastic.recurrent import RecurrentLayer
from search_spaces.elastic.sequences import TokenProjection
from search_spaces.elastic.vectors import LinearLayer


def key_seed(seed: int, key: str) -> int:
    """A 63-bit seed for the weights named `key`."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") >> 1


@torch.no_grad()
def initialise(module: nn.Module, seed: int, key: str) -> None:
    """He initialisation (fan-out) for convolutions, normal(0.02) for linear layers and embeddings, norms at 1 and 0.

    Parameters held by a block itself (positions, class tokens) start at normal(0.02) too. Linear layers without a way
    around them keep the scale of their input: normal(0.02) would shrink it, more with each layer.
    """
    scales = {
        part.linear: (1.0 if isinstance(part, TokenProjection) else 2.0)
        for part in module.modules()
        if isinstance(part, (TokenProjection, LinearLayer))
    }
    for part in module.modules():
        if isinstance(part, RecurrentLayer):
            scales |= dict.fromkeys((*part.of_tokens, *part.of_states), 1.0)
    generator = torch.Generator().manual_seed(key_seed(seed, key))
    for part in module.modules():
        if isinstance(part, nn.modules.conv._ConvNd):
            fan_out = part.out_channels // part.groups * math.prod(part.kernel_size)
            part.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.Linear):
            std = math.sqrt(scales[part] / part.in_features) if part in scales else 0.02
            part.weight.normal_(0.0, std, generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.Embedding):
            part.weight.normal_(0.0, 0.02, generator=generator)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            if part.affine:
                part.weight.fill_(1.0)
                part.bias.zero_()
        elif isinstance(part, nn.LayerNorm | RMSNorm):
            for name, parameter in part.named_parameters(recurse=False):
                parameter.fill_(1.0 if name == "weight" else 0.0)
        elif isinstance(part, LayerScale):
            part.weight.fill_(part.start)
        else:
            for parameter in part.parameters(recurse=False):
                parameter.normal_(0.0, 0.02, generator=generator)
