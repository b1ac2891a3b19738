"""The tracked front equals the front computed at once, after every point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_service.domain.front_tracker import FrontTracker
from nas_service.domain.pareto import hypervolume, non_dominated

VALUES = st.integers(0, 6).map(float)


@given(st.integers(1, 4).flatmap(lambda m: st.lists(st.tuples(*[VALUES] * m), min_size=1, max_size=25)))
def test_after_every_point_it_is_the_front_of_all(points):
    reference = [5.0] * len(points[0])
    tracker, joined = FrontTracker(reference), []
    for i, point in enumerate(points):
        if tracker.add(point):
            joined.append(i)
        F = np.array(points[: i + 1])
        front = set(np.flatnonzero(non_dominated(F)).tolist())
        assert tracker.size == len(front)
        assert tracker.hypervolume == pytest.approx(hypervolume(F, reference))
        assert front <= set(joined)
