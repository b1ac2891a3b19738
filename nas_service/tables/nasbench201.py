"""NAS-Bench-201 with HW-NAS-Bench as a table: every cell with accuracies, latencies and energies, from package data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OPERATIONS = ("avg_pool_3x3", "none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect")
"""Operations in the order of the options of each gene of the library space ``nasbench201-cell``."""

NUM_EDGES = 6
DATA_FILE = Path(__file__).resolve().parent.parent / "data" / "nasbench201.npz"


@dataclass(frozen=True)
class NasBench201:
    """``genes`` (15625, 6) in lexicographic order; ``columns`` by name, each (15625,), NaN where nothing was measured.

    Columns: ``{cifar10,cifar100,imagenet16}_{valid_e12,test_e12,test_e200}`` in percent,
    ``{data set}_{edgegpu,raspi4,edgetpu,pixel3,eyeriss,fpga}_latency`` in ms,
    ``{data set}_{edgegpu,eyeriss,fpga}_energy`` in mJ, and ``index``, the official number.
    """

    genes: NDArray[np.int16]
    columns: dict[str, NDArray[np.float64]]

    def rows_of(self, genes: NDArray[np.int16]) -> NDArray[np.int64]:
        """Row numbers (n,) of gene vectors (n, 6)."""
        weights = len(OPERATIONS) ** np.arange(NUM_EDGES - 1, -1, -1)
        return np.asarray(genes, dtype=np.int64) @ weights


def load_nasbench201() -> NasBench201:
    """Read the packaged table; about 30 ms."""
    with np.load(DATA_FILE, allow_pickle=False) as data:
        columns = {name: data[name].astype(np.float64) for name in data.files}
    grid = np.indices((len(OPERATIONS),) * NUM_EDGES, dtype=np.int16)
    return NasBench201(grid.reshape(NUM_EDGES, -1).T.copy(), columns)
