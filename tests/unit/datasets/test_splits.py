"""Splits: shares, strata, groups, copies, named splits and the calibration subset."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.raw import RawData
from nas_service.datasets.splits import SPLITS, SplitPlan, assign_splits


def vectors(n: int, num_classes: int = 3, **columns) -> RawData:
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    x = columns.pop("x", x)
    y = columns.pop("y", np.arange(n) % num_classes)
    return RawData("vector", x, y.astype(np.int64), tuple("abcdefgh"[:num_classes]), {}, **columns)


def test_shares_hold_in_every_class():
    raw = vectors(4000, 4)
    split = assign_splits(raw, SplitPlan(0.5, 0.2, 0.2, 0.1)).split
    for label in range(4):
        assert np.bincount(split[raw.y == label]).tolist() == [500, 200, 200, 100]


def test_a_seed_fixes_the_split():
    raw = vectors(500)
    first, again, other = (assign_splits(raw, SplitPlan(seed=seed)).split for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_groups_and_copies_never_cross(seed, num_values):
    rng = np.random.default_rng(seed)
    n = 300
    # Few distinct samples: most are copies of one another; groups join some of the sets of copies.
    x = np.stack([rng.integers(0, 10 * num_values, n), np.zeros(n)], axis=1).astype(np.float32)
    groups = rng.integers(0, 150, n).astype(str)
    try:
        split = assign_splits(vectors(n, 2, x=x, groups=groups), SplitPlan(seed=seed)).split
    except DatasetError:
        return  # everything hangs together: nothing to divide
    for column in (x[:, 0], groups):
        for value in np.unique(column):
            assert len(np.unique(split[column == value])) == 1


def test_copies_are_counted_and_kept_together():
    x = np.arange(400, dtype=np.float32).reshape(200, 2)
    x[100:110] = x[:10]
    x[150] = x[3]
    x[9, 0], x[109, 0] = 0.0, -0.0  # the same number
    y = np.arange(200) % 2
    y[100] = 1 - y[0]
    assignment = assign_splits(vectors(200, 2, x=x, y=y), SplitPlan())
    assert (assignment.split[:10] == assignment.split[100:110]).all()
    assert assignment.split[150] == assignment.split[3]
    report = assignment.duplicates
    assert (report.num_duplicates, report.num_duplicate_sets, report.num_conflicting_labels) == (11, 10, 2)


@pytest.mark.parametrize("turn", [1, -1], ids=["train first", "test first"])
def test_named_splits_are_kept_and_leaks_moved_to_the_unseen_side(turn):
    names = np.array(["train"] * 60 + ["search"] * 20 + ["select"] * 10 + ["test"] * 10)[::turn]
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    x[::turn][0] = x[::turn][95]
    x[::turn][1] = x[::turn][96]
    assignment = assign_splits(vectors(100, x=x, split_names=names), SplitPlan())
    assert assignment.duplicates.num_moved == 2
    found, given = assignment.split[::turn], names[::turn]
    assert [SPLITS[i] for i in found] == ["test", "test", *given[2:].tolist()]


def test_validation_is_divided_and_missing_splits_come_out_of_train():
    names = np.array(["training"] * 60 + ["Val"] * 40)
    split = assign_splits(vectors(100, 2, split_names=names), SplitPlan(0.6, 0.15, 0.15, 0.1)).split
    assert set(split[60:].tolist()) == {1, 2}
    assert np.bincount(split[60:]).tolist() == [0, 20, 20]
    assert set(split[:60].tolist()) == {0, 3}
    names[:10] = "select"  # then validation is what is searched on, and no finalist is chosen by it
    split = assign_splits(vectors(100, 2, split_names=names), SplitPlan()).split
    assert (split[:10] == 2).all()
    assert (split[60:] == 1).all()


def test_a_test_split_of_the_source_stays_whole():
    names = np.array(["train"] * 80 + ["test"] * 20)
    split = assign_splits(vectors(100, 2, split_names=names), SplitPlan()).split
    assert (split[80:] == 3).all()
    assert set(split[:80].tolist()) == {0, 1, 2}


def test_calibration_is_a_stratified_part_of_train():
    raw = vectors(3000, 3, y=np.repeat([0, 1, 2], [2000, 800, 200]))
    assignment = assign_splits(raw, SplitPlan(num_calibrate=100))
    assert (assignment.split[assignment.calibrate] == 0).all()
    assert len(set(assignment.calibrate.tolist())) == 100
    assert np.abs(np.bincount(raw.y[assignment.calibrate]) - [66.7, 26.7, 6.7]).max() <= 2
    names = np.array(["train"] * 2997 + ["search", "select", "test"])
    first, again, other = (
        assign_splits(vectors(3000, split_names=names), SplitPlan(num_calibrate=100, seed=seed)) for seed in (1, 1, 2)
    )
    assert (first.calibrate == again.calibrate).all()
    assert (first.calibrate != other.calibrate).any()  # the source fixes the splits, the seed what calibrates
    small = assign_splits(raw, SplitPlan(num_calibrate=10_000))
    assert (small.calibrate == np.flatnonzero(small.split == 0)).all()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: SplitPlan(train=0.9), "sum to 1"),
        (lambda: SplitPlan(train=float("nan")), "sum to 1"),
        (lambda: SplitPlan(seed=-1), "seed"),
        (lambda: assign_splits(vectors(4, 2), SplitPlan()), "no sample"),
        (
            lambda: assign_splits(vectors(90, split_names=np.array(["holdout"] * 90)), SplitPlan()),
            "'holdout' is no split",
        ),
        (lambda: assign_splits(vectors(90, split_names=np.array(["test"] * 90)), SplitPlan()), "split train"),
        (
            lambda: assign_splits(
                vectors(90, y=np.repeat([0, 1, 2], 30), split_names=np.repeat(["train", "train", "test"], 30)),
                SplitPlan(),
            ),
            "class 'c' has no sample",
        ),
        (lambda: assign_splits(vectors(90, groups=np.array(["one"] * 90)), SplitPlan()), "no sample"),
    ],
)
def test_refusals(make, what):
    with pytest.raises(DatasetError, match=what):
        make()
