"""Writes a module as one ONNX file with a dynamic batch.

torch has two exporters. The tracing one takes hundredths of a second and writes the same operators, but it freezes
whatever the code reads from the example; the other one reasons about the code and takes seconds. So the traced file is
run with other batch sizes and compared with the module, and only where that fails the slow exporter is asked.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import numpy as np
import onnx
import torch

from workers.measure.onnxruntime_runner import open_session

log = logging.getLogger(__name__)

# The operator set that torch's exporters translate to without a conversion afterwards.
OPSET = 20
INPUT_NAME = "input"
OUTPUT_NAME = "output"
# Float32 sums in another order; relative to the largest output, as deep networks differ in scale.
TOLERANCE = 1e-4


def write_onnx(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export the eval form of `module`; the first dimension of input and output is free, weights are in the file.

    Raises RuntimeError when no exporter gives a file that computes what the module does.
    example: a batch of at least two, since an exporter would take a batch of one for a constant.
    """
    if len(example) < 2:
        raise ValueError("the example batch needs two examples or more")
    module.eval()
    reason = write_traced(module, example, path)
    if reason is not None:
        log.info("the tracing exporter does not do (%s); exporting by analysis", reason)
        write_analysed(module, example, path)
        difference = _difference(module, example, path)
        if difference is not None:
            raise RuntimeError(f"the exported file computes something else: {difference}")
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_traced(module: torch.nn.Module, example: torch.Tensor, path: Path) -> str | None:
    """Export by running the module once; None, or the reason why the file is not to be used."""
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_axes={INPUT_NAME: {0: "batch"}, OUTPUT_NAME: {0: "batch"}},
            )
        onnx.checker.check_model(str(path))
        return _difference(module, example, path)
    except Exception as error:  # its failures have no type in common, and the other exporter is there for all of them
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def write_analysed(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export by torch.export, which proves that the batch is free. Raises what torch raises."""
    batch = torch.export.Dim("batch", min=1, max=65_536)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    program.save(str(path), external_data=False)


def _difference(module: torch.nn.Module, example: torch.Tensor, path: Path) -> str | None:
    """How the file's output differs from the module's for batches of one and of more than the example; None if not."""
    session = open_session(path)
    for batch in (example[:1], torch.cat([example.flip(0), example[:1]])):
        with torch.no_grad():
            expected = module(batch).numpy()
        try:
            (found,) = session.run(None, {INPUT_NAME: batch.numpy()})
        except Exception as error:  # ONNX Runtime has no public type for a file that wants one batch size
            return f"{error}".splitlines()[0][:200]
        if found.shape != expected.shape:
            return f"shape {found.shape} instead of {expected.shape}"
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            return f"differs by {difference:.3g}"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporters say about themselves (missing torchvision, deprecations inside), not their errors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w") as nowhere,
            redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
