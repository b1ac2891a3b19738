"""Classifies rows of numbers with the network in this folder: python predict.py FILE.csv [--top N]

The file holds one row per example: with a header that names the "features" of preprocess.json, in any order and beside
others; without one in their order. Needs torch, safetensors and numpy.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
from model import Model
from safetensors.torch import load_file

FOLDER = Path(__file__).resolve().parent
PREPROCESS = json.loads((FOLDER / "preprocess.json").read_text(encoding="utf-8"))
CLASSES = json.loads((FOLDER / "classes.json").read_text(encoding="utf-8"))


def load_model() -> Model:
    """The network with its trained weights, ready for inference."""
    model = Model()
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    return model.eval()


def to_input(rows: np.ndarray) -> torch.Tensor:
    """Numbers (n, features) as the network's normalised float32 input."""
    mean, std = torch.tensor(PREPROCESS["mean"]), torch.tensor(PREPROCESS["std"])
    return (torch.from_numpy(rows.astype(np.float32)) / PREPROCESS["divide_by"] - mean) / std


def read_rows(path: str) -> np.ndarray:
    """The numbers of a file, float64 (n, features)."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = [row for row in csv.reader(file) if row]
    names = PREPROCESS.get("features") or []
    if table and names and set(names) <= set(table[0]):
        columns = [table[0].index(name) for name in names]
        table = [[row[i] for i in columns] for row in table[1:]]
    return np.array(table, dtype=np.float64)


def main() -> None:
    """Print the most likely classes of each row with their probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", metavar="FILE.csv")
    parser.add_argument("--top", type=int, default=1, help="number of classes to print (default 1)")
    options = parser.parse_args()
    rows = read_rows(options.file)
    with torch.inference_mode():
        probabilities = load_model()(to_input(rows)).softmax(dim=1)
    best = probabilities.topk(max(1, min(options.top, len(CLASSES))), dim=1)
    for number, (indices, values) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True), start=1):
        pairs = zip(indices, values, strict=True)
        sys.stdout.write(f"row {number}: " + ", ".join(f"{CLASSES[i]} {p:.4f}" for i, p in pairs) + "\n")


if __name__ == "__main__":
    main()
