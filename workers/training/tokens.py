"""What language models learn from: the next token, or tokens that were masked. Nothing here waits for the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas_service.datasets.tokenizer import MASK, PAD, SPECIALS
from workers.training.transfer import on_device

# Targets with this value count for nothing; torch's cross-entropy leaves them out by itself.
IGNORED = -100
# BERT (Devlin et al. 2019, arXiv:1810.04805): this share of the tokens is to be predicted; of these 80 % are shown as
# the mask token, 10 % as another token and 10 % as they are.
MASKED_SHARE = 0.15
_SHOWN_AS_MASK, _SHOWN_AS_MASK_OR_OTHER = 0.8, 0.9


@dataclass(frozen=True)
class MaskDraws:
    """The random numbers of a batch (n, L): which tokens are masked, how, and what other tokens stand there."""

    chosen: np.ndarray
    how: np.ndarray
    other: np.ndarray

    def rows(self, rows: slice) -> "MaskDraws":
        """The draws of some of the samples."""
        return MaskDraws(self.chosen[rows], self.how[rows], self.other[rows])


def draw_masks(num_samples: int, length: int, vocabulary: int, rng: np.random.Generator) -> MaskDraws:
    """Draw for a whole batch at once, so that cutting it into micro-batches changes nothing."""
    size = (num_samples, length)
    other = rng.integers(len(SPECIALS), vocabulary, size=size, dtype=np.int32)
    return MaskDraws(rng.random(size, dtype=np.float32), rng.random(size, dtype=np.float32), other)


def mask(x: Tensor, draws: MaskDraws) -> tuple[Tensor, Tensor]:
    """Ids (n, L) with some of them masked, and the targets (n, L): the masked ids, IGNORED elsewhere.

    Special tokens are never masked.
    """
    chosen = (on_device(draws.chosen, x.device) < MASKED_SHARE) & (x >= len(SPECIALS))
    how, other = on_device(draws.how, x.device), on_device(draws.other, x.device).long()
    shown = torch.where(how < _SHOWN_AS_MASK_OR_OTHER, other, x)
    shown = torch.where(how < _SHOWN_AS_MASK, torch.full_like(x, MASK), shown)
    return torch.where(chosen, shown, x), x.masked_fill(~chosen, IGNORED)


def next_tokens(x: Tensor) -> Tensor:
    """Targets (n, L) of causal language models: the id that follows; IGNORED at the end and where padding follows."""
    following = torch.cat((x[:, 1:], x.new_full((len(x), 1), PAD)), dim=1)
    return following.masked_fill(following == PAD, IGNORED)
