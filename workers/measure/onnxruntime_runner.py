"""Runs an ONNX file in ONNX Runtime on the CPU. Needs no torch."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from workers.measure.protocol import TimedCall

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def prepare(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of the process; returns what to report about the runtime."""
    onnxruntime.set_default_logger_severity(3)
    return {"runtime_version": onnxruntime.__version__, "execution_provider": "CPUExecutionProvider"}


def load(folder: Path, settings: dict[str, Any]) -> TimedCall:
    """The network of a folder with model.onnx, ready to be timed."""
    session = open_session(folder / "model.onnx", settings["threads"])
    (entry,) = session.get_inputs()
    sizes = [settings["batch_size"], *entry.shape[1:]]
    rng = np.random.default_rng(settings["seed"])
    dtype = _TYPES[entry.type]
    x = rng.standard_normal(sizes).astype(dtype) if dtype == np.float32 else rng.integers(0, 2, sizes, dtype=dtype)
    feed = {entry.name: x}

    def call() -> int:
        start = time.perf_counter_ns()
        session.run(None, feed)
        return time.perf_counter_ns() - start

    return call


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session with a fixed number of threads and no busy waiting between calls."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
