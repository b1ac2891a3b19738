"""Ranks and the correlation made of them are those of `scipy.stats`, which the product does not import."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from nas_service.domain.ranks import average_ranks

few_values = st.integers(-3, 3) | st.floats(-1e9, 1e9)


@given(st.lists(few_values, max_size=30))
def test_equals_share_the_mean_of_their_places(values: list[float]) -> None:
    assert average_ranks(np.array(values, dtype=np.float64)).tolist() == rankdata(values).tolist()


def test_a_rank_correlation_with_ties() -> None:
    a, b = np.random.default_rng(0).integers(0, 9, (2, 50))
    found = np.corrcoef(average_ranks(a), average_ranks(b))[0, 1]
    assert abs(found - spearmanr(a, b).statistic) < 1e-12
