"""Packs the NAS-Bench-201 / HW-NAS-Bench table (parquet, one row per architecture) into the package data file."""

import argparse
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nas_service.tables.nasbench201 import DATA_FILE, OPERATIONS

DATASETS = ("cifar10", "cifar100", "imagenet16")
DEVICES = ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")


def columns():
    """The columns that are kept: accuracies, latencies, energies."""
    for dataset in DATASETS:
        yield from (f"{dataset}_{split}" for split in ("valid_e12", "test_e12", "test_e200"))
        yield from (f"{dataset}_{device}_latency" for device in DEVICES)
        yield from (f"{dataset}_{device}_energy" for device in ("edgegpu", "eyeriss", "fpga"))
    yield "cifar10_valid_e200"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parquet", type=Path)
    table = pq.read_table(parser.parse_args().parquet)
    genes = [[OPERATIONS.index(op) for op in re.findall(r"(\w+)~", arch)] for arch in table["arch"].to_pylist()]
    order = np.lexsort(np.array(genes).T[::-1])
    packed = {"index": table["index"].to_numpy()[order].astype(np.int16)}
    for name in columns():
        values = table[name].to_numpy(zero_copy_only=False).astype(np.float32)[order]
        packed[name] = np.where(values == -1, np.float32(np.nan), values)
    DATA_FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(DATA_FILE, **packed)
    print(f"{DATA_FILE}: {DATA_FILE.stat().st_size} bytes, {len(order)} rows, {len(packed)} columns")


if __name__ == "__main__":
    main()
