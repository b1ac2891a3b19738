"""Which sample belongs to which split: train, search, select or test, and calibrate within train; fixed by a seed."""

from dataclasses import dataclass, field

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.raw import RawData

SPLITS = ("train", "search", "select", "test")
# Copies that the source puts on different sides go to the one that must stay unseen longest: the later in this order.
_PRECEDENCE = ("train", "search", "validation", "select", "test")
_ALIASES = {"training": "train", "valid": "validation", "val": "validation", "dev": "validation", "testing": "test"}
SPLIT_NAMES = frozenset({*SPLITS, "validation", *_ALIASES})


@dataclass(frozen=True)
class SplitPlan:
    """How to split: shares of the four splits, size of the calibration subset, seed.

    Splits that the source itself names (a column, an array or folders) are kept; "validation" there is divided between
    search and select, and splits it does not name are cut out of train by their shares.
    """

    train: float = 0.6
    search: float = 0.15
    select: float = 0.125
    test: float = 0.125
    num_calibrate: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        shares = self.shares
        if not all(np.isfinite(share) and 0 < share < 1 for share in shares) or not 0.99 < sum(shares) < 1.01:
            raise DatasetError("split", f"shares {shares}", "four shares above 0 that sum to 1")
        if self.num_calibrate < 1:
            raise DatasetError("split", f"num_calibrate is {self.num_calibrate}", "at least 1")
        if not 0 <= self.seed < 2**63:
            raise DatasetError("split", f"seed is {self.seed}", "0 to 2**63 - 1")

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Shares in the order of SPLITS."""
        return (self.train, self.search, self.select, self.test)


@dataclass(frozen=True)
class DuplicateReport:
    """Exact copies found: how many samples equal an earlier one, and how many had to change split to leak nothing."""

    num_duplicates: int = 0
    num_duplicate_sets: int = 0
    num_conflicting_labels: int = 0
    num_moved: int = 0


@dataclass(frozen=True)
class Assignment:
    """split: uint8 (N,), an index into SPLITS; calibrate: sorted int64 indices of samples of train."""

    split: np.ndarray
    calibrate: np.ndarray
    duplicates: DuplicateReport = field(default_factory=DuplicateReport)


def assign_splits(raw: RawData, plan: SplitPlan) -> Assignment:
    """Split the samples, stratified by class, reproducibly for a seed.

    Samples of one group, and exact copies (with whatever label), always share a split: a copy of a test sample in train
    would make memory look like skill. Raises DatasetError when a split or a class in train would be empty.
    """
    copies = _first_equal(raw.x)
    units = _units(copies, raw.groups)
    given = None if raw.split_names is None else _given_splits(raw.split_names)
    split = np.full(len(raw.y), -1, dtype=np.int64)
    num_moved = 0
    if given is None:
        _fill(split, np.arange(len(split)), raw.y, units, dict(enumerate(plan.shares)), plan.seed)
    else:
        num_moved = _keep_given(split, given, raw, units, plan)
    _check_not_empty(split, raw)
    return Assignment(split.astype(np.uint8), _calibrate(split, raw.y, plan), _report(copies, raw.y, num_moved))


def _first_equal(x: np.ndarray) -> np.ndarray:
    """For each sample the index of the first sample with the same bytes, (N,)."""
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.dtype.kind == "f":
        flat = flat + np.float32(0.0)  # -0.0 and 0.0 are the same number
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), i) for i, row in enumerate(flat)], dtype=np.int64)


def _units(copies: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Smallest sets of samples that must stay together: connected by a shared group or by being copies, (N,) labels."""
    if groups is None:
        return np.unique(copies, return_inverse=True)[1]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.unique(groups, return_inverse=True)[1]
    n = len(copies)
    rows = np.concatenate([np.arange(n), np.arange(n)])
    columns = np.concatenate([copies, n + group])
    size = n + int(group.max()) + 1
    graph = coo_array((np.ones(2 * n, dtype=np.int8), (rows, columns)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:n]


def _given_splits(names: np.ndarray) -> np.ndarray:
    """Position in _PRECEDENCE of each sample's split as the source names it; no name means train."""
    text = [str(name).strip().lower() for name in names.tolist()]
    canonical = [_ALIASES.get(name, name) or "train" for name in text]
    unknown = sorted(set(canonical) - set(_PRECEDENCE))
    if unknown:
        raise DatasetError("split", f"{unknown[0]!r} is no split", ", ".join((*SPLITS, "validation")))
    return np.array([_PRECEDENCE.index(name) for name in canonical])


def _keep_given(split: np.ndarray, given: np.ndarray, raw: RawData, units: np.ndarray, plan: SplitPlan) -> int:
    """Fill `split` from the source's names, cut missing splits out of train; returns how many samples had to move."""
    highest = np.zeros(int(units.max()) + 1, dtype=np.int64)
    np.maximum.at(highest, units, given)
    final = highest[units]
    for i, name in enumerate(SPLITS):
        split[final == _PRECEDENCE.index(name)] = i
    present = {_PRECEDENCE[i] for i in given.tolist()}
    missing = [i for i, name in enumerate(SPLITS) if i and name not in present]
    validation = np.flatnonzero(final == _PRECEDENCE.index("validation"))
    if len(validation):
        halves = [i for i in (1, 2) if i in missing] or [1]
        _fill(split, validation, raw.y, units, {i: plan.shares[i] for i in halves}, plan.seed)
        missing = [i for i in missing if i not in halves]
    if missing:
        rest = np.flatnonzero(final == _PRECEDENCE.index("train"))
        _fill(split, rest, raw.y, units, {i: plan.shares[i] for i in (0, *missing)}, plan.seed)
    return int((final != given).sum())


def _fill(
    split: np.ndarray, members: np.ndarray, y: np.ndarray, units: np.ndarray, shares: dict[int, float], seed: int
) -> None:
    """Divide `members` among splits by share, class by class; a unit counts for the class of its first sample."""
    if not len(members):
        return
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x5B117]))
    targets = np.array(sorted(shares))
    bounds = np.cumsum([shares[i] for i in targets])
    bounds = bounds / bounds[-1]
    unit_of, first, sizes = np.unique(units[members], return_index=True, return_counts=True)
    unit_class = y[members[first]]
    target_of = np.empty(len(unit_of), dtype=np.int64)
    for label in np.unique(unit_class):
        own = rng.permutation(np.flatnonzero(unit_class == label))
        ends = np.cumsum(sizes[own])
        middle = (ends - sizes[own] / 2) / ends[-1]
        target_of[own] = targets[np.minimum(np.searchsorted(bounds, middle, side="right"), len(targets) - 1)]
    split[members] = target_of[np.searchsorted(unit_of, units[members])]


def _calibrate(split: np.ndarray, y: np.ndarray, plan: SplitPlan) -> np.ndarray:
    """A stratified part of train for batch-norm statistics: every class at its share, num_calibrate samples at most."""
    train = np.flatnonzero(split == 0)
    if len(train) <= plan.num_calibrate:
        return train.astype(np.int64)
    rng = np.random.Generator(np.random.Philox(key=[plan.seed, 0xCA11B]))
    shuffled = rng.permutation(train)
    labels = y[shuffled]
    # Position of a sample within its class, relative to the class size: the smallest are an even cut of all classes.
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    position = np.empty(len(shuffled))
    position[order] = (np.arange(len(shuffled)) - starts[labels[order]] + 0.5) / counts[labels[order]]
    chosen = shuffled[np.argsort(position, kind="stable")[: plan.num_calibrate]]
    return np.sort(chosen).astype(np.int64)


def _check_not_empty(split: np.ndarray, raw: RawData) -> None:
    counts = np.bincount(split, minlength=len(SPLITS))
    for name, count in zip(SPLITS, counts.tolist(), strict=True):
        if count == 0:
            raise DatasetError(
                f"split {name}", f"has no sample of the {len(split)}", "more samples or fewer, smaller groups"
            )
    absent = sorted(set(range(len(raw.classes))) - set(raw.y[split == 0].tolist()))
    if absent:
        raise DatasetError(
            "split train", f"class {raw.classes[absent[0]]!r} has no sample in it", "samples of every class in train"
        )


def _report(copies: np.ndarray, y: np.ndarray, num_moved: int) -> DuplicateReport:
    is_copy = copies != np.arange(len(copies))
    return DuplicateReport(
        num_duplicates=int(is_copy.sum()),
        num_duplicate_sets=len(np.unique(copies[is_copy])),
        num_conflicting_labels=int((y != y[copies]).sum()),
        num_moved=num_moved,
    )
