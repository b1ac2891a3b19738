"""Checks that the files of an export compute what the supernet computed: in ONNX Runtime and in a fresh process."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from workers.measure.onnx_file import INPUT_NAME, OUTPUT_NAME
from workers.measure.onnxruntime_runner import open_session

# Differences relative to the largest output. ONNX Runtime folds batch norm into convolutions and sums in its own order.
ONNX_TOLERANCE = 1e-3
SUPERNET_TOLERANCE = 1e-3  # another memory layout, and so other last bits in every layer and in the statistics
FRESH_TOLERANCE = 1e-5
_TIME_LIMIT_S = 300

# Isolated mode: nothing on the path but the installed libraries, and then the export itself.
_FRESH_PROCESS = """
import sys
folder, x_path, y_path, threads = sys.argv[1:]
sys.path.insert(0, folder)
import torch
from safetensors.torch import load_file, save_file
from model import Model
torch.set_num_threads(int(threads))
model = Model()
model.load_state_dict(load_file(folder + "/model.safetensors"))
model.eval()
with torch.inference_mode():
    save_file({"y": model(load_file(x_path)["x"]).contiguous()}, y_path)
foreign = {name.split(".")[0] for name in sys.modules} & {"search_spaces", "nas_service", "workers"}
if foreign:
    sys.exit("model.py imported " + ", ".join(sorted(foreign)))
"""


class ExportError(RuntimeError):
    """An export whose files do not compute what they should."""


def check_onnx(path: Path, x: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference in ONNX Runtime, over the batch and over its first example alone."""
    session = open_session(path)
    largest = 0.0
    for part in (x, x[:1]):
        (found,) = session.run([OUTPUT_NAME], {INPUT_NAME: part.numpy()})
        largest = max(largest, _difference("model.onnx", torch.from_numpy(np.asarray(found)), expected[: len(part)]))
    return _within("model.onnx", largest, expected, ONNX_TOLERANCE)


def check_fresh_process(folder: Path, x: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference of model.py with model.safetensors, loaded where nothing of this project is."""
    with tempfile.TemporaryDirectory(prefix="nas-export-") as scratch:
        x_path, y_path = Path(scratch, "x.safetensors"), Path(scratch, "y.safetensors")
        save_file({"x": x.contiguous()}, x_path)
        arguments = [str(folder), str(x_path), str(y_path), str(torch.get_num_threads())]
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", _FRESH_PROCESS, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ExportError(f"model.py cannot be used by itself: {done.stderr.strip()[-1500:]}")
        difference = _difference("model.py", load_file(y_path)["y"], expected)
    return _within("model.py", difference, expected, FRESH_TOLERANCE)


def check_supernet(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference between the supernet with the architecture active and the extracted network."""
    return _within("the extracted network", _difference("the supernet", found, expected), expected, SUPERNET_TOLERANCE)


def tolerances() -> dict[str, Any]:
    """What the checks allow, relative to the largest output."""
    return {"onnx": ONNX_TOLERANCE, "fresh_process": FRESH_TOLERANCE, "supernet": SUPERNET_TOLERANCE}


def _difference(what: str, found: torch.Tensor, expected: torch.Tensor) -> float:
    if found.shape != expected.shape:
        raise ExportError(f"{what} returns shape {tuple(found.shape)}, not {tuple(expected.shape)}")
    return float((found.double() - expected.double()).abs().max())


def _within(what: str, difference: float, expected: torch.Tensor, tolerance: float) -> float:
    allowed = tolerance * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:  # also refuses NaN
        raise ExportError(f"{what} differs by {difference:.3g}, more than {allowed:.3g}")
    return difference
