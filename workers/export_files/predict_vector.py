"""Classifies rows of numbers with the network in this folder: python predict.py FILE.csv [--top N]

The file holds one row per example, its columns in the order of "features" in preprocess.json where that is given, no
header. Needs torch, safetensors and numpy.
"""

import argparse
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


def main() -> None:
    """Print the most likely classes of each row with their probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", metavar="FILE.csv")
    parser.add_argument("--top", type=int, default=1, help="number of classes to print (default 1)")
    options = parser.parse_args()
    rows = np.loadtxt(options.file, delimiter=",", ndmin=2)
    with torch.inference_mode():
        probabilities = load_model()(to_input(rows)).softmax(dim=1)
    best = probabilities.topk(max(1, min(options.top, len(CLASSES))), dim=1)
    for number, (indices, values) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True), start=1):
        pairs = zip(indices, values, strict=True)
        sys.stdout.write(f"row {number}: " + ", ".join(f"{CLASSES[i]} {p:.4f}" for i, p in pairs) + "\n")


if __name__ == "__main__":
    main()
