"""Writes a module as one ONNX file with a dynamic batch."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch

# The operator set that torch's exporter translates to without a conversion afterwards.
OPSET = 20
INPUT_NAME = "input"
OUTPUT_NAME = "output"


def write_onnx(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export the eval form of `module`; the first dimension of input and output is free, weights are in the file.

    example: a batch of at least two, since the exporter would take a batch of one for a constant.
    """
    if len(example) < 2:
        raise ValueError("the example batch needs two examples or more")
    module.eval()
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
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about itself (missing torchvision, deprecations inside it), not its errors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
