"""Runs the measuring processes one after another and puts their samples together."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.methods.runtimes import DeviceSettings, MeasureProtocol
from workers.measure.machine import machine_fingerprint, num_usable_cores

_POLL_S = 0.2


class MeasureError(RuntimeError):
    """A measuring process failed; the message ends with what it said."""


class MeasureStopped(RuntimeError):
    """The job was asked to stop before the measurement was complete."""


def measure_folders(
    folders: Sequence[Path],
    reference: Path,
    device: DeviceSettings,
    protocol: MeasureProtocol,
    scratch: Path,
    should_stop: Callable[[], bool],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Time the networks in `folders` (as the runtime's runner loads them).

    Returns {"latencies": [{latency_ms, p10_ms, p90_ms, num_samples, process_medians_ms}, ... in the order of folders],
    "reference": the same of the reference, "drift": largest of all kept rounds, "drift_exceeded", "num_spoilt_rounds",
    "load_average": [before, after], "fingerprint", "facts"}. Raises MeasureError and MeasureStopped.
    """
    if device.processor == "cpu" and device.threads > num_usable_cores():
        raise MeasureError(f"{device.threads} threads on {num_usable_cores()} usable cores")
    results = []
    for process in range(protocol.num_processes):
        request = {
            "runtime": device.runtime,
            "settings": {
                "threads": device.threads,
                "batch_size": device.batch_size,
                "dtype": device.dtype,
                "processor": device.processor,
                "seed": protocol.seed % 2**31,
            },
            "protocol": protocol.model_dump(),
            "process": process,
            "models": [str(folder) for folder in folders],
            "reference": str(reference),
        }
        results.append(_run(request, scratch, protocol.time_limit_s, should_stop))
        progress(process + 1, protocol.num_processes)
    drift = max(result["drift"] for result in results)
    samples = [[result["samples_ns"][i] for result in results] for i in range(len(folders))]
    return {
        "latencies": [summarise(per_process) for per_process in samples],
        "reference": summarise([result["reference_ns"] for result in results]),
        "drift": drift,
        "drift_exceeded": drift > protocol.max_drift,
        "num_spoilt_rounds": sum(result["num_spoilt"] for result in results),
        "load_average": [results[0]["load_average_before"], results[-1]["load_average_after"]],
        "fingerprint": machine_fingerprint(),
        "facts": results[0]["facts"],
    }


def summarise(samples_ns: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Median and quantiles in milliseconds of the samples of all processes, one list each.

    Every process counts alike however many calls it made: samples are weighted by 1 / (samples of their process).
    """
    values = np.concatenate([np.asarray(part, dtype=np.float64) for part in samples_ns]) / 1e6
    weights = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in samples_ns])
    order = np.argsort(values, kind="stable")
    position = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    p10, p50, p90 = (float(np.interp(q, position, values[order])) for q in (0.1, 0.5, 0.9))
    return {
        "latency_ms": p50,
        "p10_ms": p10,
        "p90_ms": p90,
        "num_samples": len(values),
        "process_medians_ms": [float(np.median(part)) / 1e6 for part in samples_ns],
    }


def _run(
    request: dict[str, Any], scratch: Path, time_limit_s: float, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """One measuring process from start to end; its result."""
    name = f"process-{request['process']}"
    request_path, result_path, log_path = (
        scratch / f"{name}.{kind}" for kind in ("request.json", "result.json", "log")
    )
    request_path.write_text(json.dumps(request))
    threads = str(request["settings"]["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.measure.process", str(request_path), str(result_path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _wait(process, time.monotonic() + time_limit_s, should_stop)
        finally:
            if process.poll() is None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            process.wait()
    if process.returncode != 0 or not result_path.exists():
        said = log_path.read_text(errors="replace").strip()[-1500:]
        raise MeasureError(f"measuring process ended with status {process.returncode}: {said}")
    result: dict[str, Any] = json.loads(result_path.read_text())
    return result


def _wait(process: "subprocess.Popen[bytes]", deadline: float, should_stop: Callable[[], bool]) -> None:
    while True:
        try:
            process.wait(timeout=_POLL_S)
            return
        except subprocess.TimeoutExpired:
            if should_stop():
                raise MeasureStopped("asked to stop while measuring") from None
            if time.monotonic() > deadline:
                raise MeasureError("measuring process exceeded its time limit") from None
