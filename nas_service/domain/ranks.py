"""Ranks in which equals share a place.

In NumPy: `scipy.stats` has them too, and takes longer to import than all else that every process of the service needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) -> (n,) from 1, the smallest; equal values have the mean of the places that they take together."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks
