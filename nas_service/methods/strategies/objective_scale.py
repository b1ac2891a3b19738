"""The scale on which a model sees an objective, and the way back: logarithm of the distance behind the best.

Values far behind are cut off, so that useless architectures cannot outweigh the rest; near the best the scale is
almost linear. A Gaussian belief on it is a shifted log-normal one of the objective itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CUT = 3.0


@dataclass(frozen=True)
class ObjectiveScale:
    """``to(v)`` = log(1 + min(3, (v - best) / unit)), where the unit is from the best to the median."""

    best: float
    unit: float

    @classmethod
    def of(cls, values: Floats) -> ObjectiveScale:
        """The scale of observed values (n,)."""
        best = float(values.min())
        unit = float(np.median(values)) - best
        return cls(best, unit or float(values.max()) - best or 1.0)

    def to(self, values: Floats) -> Floats:
        """Values to the scale; none is better than the best."""
        return np.log1p(np.clip((values - self.best) / self.unit, 0.0, _CUT))

    def back(self, scaled: Floats) -> Floats:
        """The inverse; below 0 it goes on beyond the best, at most by one unit."""
        return self.best + self.unit * np.expm1(np.minimum(scaled, 5.0))
