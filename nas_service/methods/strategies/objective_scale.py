"""The scale on which a model sees an objective, and the way back: logarithm of the distance behind the best.

Values far behind are cut off, so that useless architectures cannot outweigh the rest, but not before the limit up to
which a gain counts; near the best the scale is almost linear. A Gaussian belief on it is a shifted log-normal one of
the objective itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CUT, _BEYOND, _FAR = 3.0, 1.1, 20.0


@dataclass(frozen=True)
class ObjectiveScale:
    """``to(v)`` = log(1 + min(cut, (v - best) / unit)), where the unit is from the best to the median."""

    best: float
    unit: float
    cut: float = _CUT

    @classmethod
    def of(cls, values: Floats, limit: float) -> ObjectiveScale:
        """The scale of observed values (n,), of which those up to ``limit`` matter."""
        best = float(values.min())
        unit = float(np.median(values)) - best
        unit = unit or float(values.max()) - best or 1.0
        return cls(best, unit, max(_CUT, _BEYOND * (float(limit) - best) / unit))

    def to(self, values: Floats) -> Floats:
        """Values to the scale; none is better than the best."""
        return np.log1p(np.clip((values - self.best) / self.unit, 0.0, self.cut))

    def back(self, scaled: Floats) -> Floats:
        """The inverse; below 0 it goes on beyond the best, at most by one unit; far above, it ends."""
        return self.best + self.unit * np.expm1(np.minimum(scaled, _FAR))
