"""Which part of a widest tensor a narrower module uses: channel prefixes, centres of kernels."""

from __future__ import annotations

import torch
from torch import nn

Index = tuple[slice, ...]


def slice_index(full: torch.Size, part: torch.Size, spatial_from: int | None) -> Index | None:
    """Index of the used part of a tensor of shape `full`, or None when all of it is used.

    Dimensions before `spatial_from` keep a prefix, later ones (kernel height and width) their centre.
    Raises ValueError when the part does not fit.
    """
    if len(full) != len(part) or any(small > large for large, small in zip(full, part, strict=True)):
        raise ValueError(f"a tensor of shape {tuple(part)} is no part of one of shape {tuple(full)}")
    if full == part:
        return None
    index = []
    for dim, (large, small) in enumerate(zip(full, part, strict=True)):
        start = (large - small) // 2 if spatial_from is not None and dim >= spatial_from else 0
        index.append(slice(start, start + small))
    while index and index[-1] == slice(0, full[len(index) - 1]):
        index.pop()
    return tuple(index)


def spatial_from(leaf: nn.Module, name: str) -> int | None:
    """First centred dimension of a leaf module's tensor: 2 for convolution weights, what a module says of itself."""
    is_kernel = name == "weight" and isinstance(leaf, nn.modules.conv._ConvNd)
    return getattr(leaf, "centred_from", 2 if is_kernel else None)


class KernelTransform:
    """Learned square matrices applied after each centre crop of a kernel (Once-for-All, Cai et al. 2020).

    `sizes` is the descending chain of kernel sizes down to the active one; `names` name the matrix of
    each step, of shape (k * k, k * k), shared by all channels, identity at the start.
    """

    def __init__(self, sizes: tuple[int, ...], names: tuple[str, ...]) -> None:
        self.sizes = sizes
        self.names = names

    def __call__(self, weight: torch.Tensor, matrices: nn.ParameterDict) -> torch.Tensor:
        for size, name in zip(self.sizes[1:], self.names, strict=True):
            start = (weight.shape[-1] - size) // 2
            centre = weight[:, :, start : start + size, start : start + size]
            flat = centre.reshape(*centre.shape[:2], size * size)
            weight = (flat @ matrices[name]).reshape(centre.shape)
        return weight
