"""Entry point of a measuring process: `python -m workers.measure.process REQUEST.json RESULT.json`.

A fresh process per repetition averages over what differs between processes (memory layout, thread placement). It
watches its standard input and exits when that closes, so it never outlives the worker that started it.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from nas_service.methods.runtimes import MeasureProtocol
from workers.measure.machine import load_average
from workers.measure.protocol import TimedCall, time_interleaved


class Runner(Protocol):
    """What a runtime's module offers; settings are {threads, batch_size, dtype, processor, seed}."""

    def prepare(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Set up this process; returns what to report about the runtime."""

    def load(self, folder: Path, settings: dict[str, Any]) -> TimedCall:
        """The network of a folder, ready to be timed."""


def _torch() -> Runner:
    from workers.measure import torch_runner

    return torch_runner


def _onnxruntime() -> Runner:
    from workers.measure import onnxruntime_runner

    return onnxruntime_runner


# Imported when used: measuring with one runtime needs no other to be installed, nor its time to start.
RUNNERS: dict[str, Callable[[], Runner]] = {"torch": _torch, "onnxruntime": _onnxruntime}


def measure_request(request: dict[str, Any]) -> dict[str, Any]:
    """Time the networks of a request: {runtime, settings, protocol, process, models: [folder], reference: folder}."""
    runner = RUNNERS[request["runtime"]]()
    facts = runner.prepare(request["settings"])
    load = runner.load
    calls = [load(Path(folder), request["settings"]) for folder in request["models"]]
    reference = load(Path(request["reference"]), request["settings"])
    before = load_average()
    timing = time_interleaved(
        calls, reference, MeasureProtocol.model_validate(request["protocol"]), seed=request["process"]
    )
    return {**timing.to_json(), "facts": facts, "load_average_before": before, "load_average_after": load_average()}


def _exit_with_parent() -> None:
    # Not through sys.stdin: its lock, held by this thread, would abort the interpreter's own exit.
    while os.read(0, 1024):
        pass
    os._exit(3)


def main(request_path: str, result_path: str) -> None:
    """Read the request, measure, write the result."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    result = measure_request(json.loads(Path(request_path).read_text()))
    Path(result_path).write_text(json.dumps(result, allow_nan=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
