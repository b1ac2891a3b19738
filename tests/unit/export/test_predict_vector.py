"""predict.py of networks that read rows of numbers."""

import json
import subprocess
import sys
from importlib import resources

import numpy as np
import torch
from safetensors.torch import save_file

MODEL = """
from torch import nn


class Model(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 2))
"""


def test_rows_are_normalised_and_classified(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    template = resources.files("workers.export_files") / "predict_vector.py"
    (tmp_path / "predict.py").write_text(template.read_text())
    # Class "high" when the first feature lies above its mean of 10.
    weight = torch.tensor([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    save_file({"0.weight": weight, "0.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    rule = {
        "kind": "vector",
        "divide_by": 1.0,
        "mean": [10.0, 0.0, 0.0],
        "std": [2.0, 1.0, 1.0],
        "features": ["a", "b", "c"],
    }
    (tmp_path / "preprocess.json").write_text(json.dumps(rule))
    (tmp_path / "classes.json").write_text(json.dumps(["low", "high"]))
    np.savetxt(tmp_path / "rows.csv", [[12.0, 1, 1], [8.0, 1, 1]], delimiter=",")
    command = [sys.executable, "-B", tmp_path / "predict.py", tmp_path / "rows.csv", "--top", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    probability = 1 / (1 + np.exp(-5.0))
    assert lines[0] == f"row 1: high {probability:.4f}, low {1 - probability:.4f}"
    assert lines[1] == f"row 2: low {probability:.4f}, high {1 - probability:.4f}"

    (tmp_path / "named.csv").write_text("c,kind,a,b\n1,high,12,1\n1,low,8,1\n")
    command[3] = tmp_path / "named.csv"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines() == lines
