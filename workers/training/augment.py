"""Augmentation of image batches on the device, with all draws made in advance from a keyed stream."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas_service.methods.recipes.base import Augmentation
from workers.training.transfer import on_device


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, one row per image; shifts and the cutout's centre are in pixels."""

    shift: np.ndarray  # (n, 2) int
    angle: np.ndarray  # (n,) radians
    zoom: np.ndarray  # (n,) factor
    flip: np.ndarray  # (n,) bool
    centre: np.ndarray  # (n, 2) int

    def rows(self, rows: slice) -> "Draws":
        """The draws of some of the images."""
        return Draws(self.shift[rows], self.angle[rows], self.zoom[rows], self.flip[rows], self.centre[rows])


def draw(rule: Augmentation, num_images: int, height: int, width: int, rng: np.random.Generator) -> Draws:
    """Draw for a whole batch at once, so that cutting it into micro-batches changes nothing."""
    radians = np.deg2rad(rule.rotate_degrees)
    return Draws(
        shift=rng.integers(-rule.shift_pixels, rule.shift_pixels + 1, size=(num_images, 2)),
        angle=rng.uniform(-radians, radians, size=num_images) if radians else np.zeros(num_images),
        zoom=rng.uniform(1 - rule.zoom, 1 + rule.zoom, size=num_images) if rule.zoom else np.ones(num_images),
        flip=(rng.random(num_images) < 0.5) & rule.flip_horizontal,
        centre=rng.integers(0, (height, width), size=(num_images, 2)),
    )


def augment(rule: Augmentation, x: Tensor, draws: Draws) -> Tensor:
    """Changed copies of images x (n, C, H, W) in stored units, in which 0 is black."""
    if rule.rotate_degrees or rule.zoom:
        x = _rotate_and_zoom(x, draws)
    if rule.flip_horizontal:
        flip = on_device(draws.flip, x.device)
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
    if rule.shift_pixels:
        x = _shift(x, on_device(draws.shift, x.device), rule.shift_pixels)
    if rule.cutout_pixels:
        x = _cutout(x, on_device(draws.centre, x.device), rule.cutout_pixels)
    return x


def _shift(x: Tensor, shift: Tensor, limit: int) -> Tensor:
    n, _, height, width = x.shape
    padded = functional.pad(x, (limit, limit, limit, limit))
    rows = torch.arange(height, device=x.device)[None, :] + limit + shift[:, 0:1]  # (n, H)
    columns = torch.arange(width, device=x.device)[None, :] + limit + shift[:, 1:2]  # (n, W)
    image = torch.arange(n, device=x.device)[:, None, None]
    # Indexing with (n, 1, 1), (n, H, 1), (n, 1, W) around the channels gives (n, H, W, C).
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _rotate_and_zoom(x: Tensor, draws: Draws) -> Tensor:
    cosine, sine = np.cos(draws.angle) / draws.zoom, np.sin(draws.angle) / draws.zoom
    zero = np.zeros_like(cosine)
    matrices = np.stack([np.stack([cosine, -sine, zero], 1), np.stack([sine, cosine, zero], 1)], 1)
    theta = on_device(matrices.astype(np.float32), x.device)  # (n, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _cutout(x: Tensor, centre: Tensor, side: int) -> Tensor:
    rows = torch.arange(x.shape[2], device=x.device)[None, :] - centre[:, 0:1] + side // 2
    columns = torch.arange(x.shape[3], device=x.device)[None, :] - centre[:, 1:2] + side // 2
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return x.masked_fill(inside[:, None], 0.0)
