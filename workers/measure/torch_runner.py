"""Runs a plain network in PyTorch; on the CPU timed by the clock, on CUDA by device events."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from search_spaces.elastic.plain import build_plain
from search_spaces.network import Network
from search_spaces.shapes import TokensShape
from workers.measure.protocol import TimedCall

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def prepare(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of the process; returns what to report about the runtime. RuntimeError when the processor is missing."""
    torch.set_num_threads(settings["threads"])
    facts: dict[str, Any] = {"runtime_version": torch.__version__}
    if settings["processor"] == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeError("processor cuda: torch sees no GPU in this process")
        facts |= {
            "gpu": torch.cuda.get_device_name(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            # What decides which kernels run; both are torch's defaults.
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        }
    return facts


def load(folder: Path, settings: dict[str, Any]) -> TimedCall:
    """The network described by a folder with network.json and, if present, model.safetensors, ready to be timed.

    Inputs are random; weights without a file are random too.
    """
    network = Network.from_json(json.loads((folder / "network.json").read_text()))
    module = build_plain(network, seed=settings["seed"])
    if (folder / "model.safetensors").exists():
        module.load_state_dict(load_file(folder / "model.safetensors"))
    return timed_module(module, example_input(network, settings["batch_size"], settings["seed"]), settings)


def timed_module(module: torch.nn.Module, x: torch.Tensor, settings: dict[str, Any]) -> TimedCall:
    """A call of `module` on `x` in the dtype and on the processor of the settings."""
    dtype = _DTYPES[settings["dtype"]]
    device = torch.device(settings["processor"])
    module = module.eval().to(device=device, dtype=dtype)
    x = x.to(device=device, dtype=dtype if x.is_floating_point() else x.dtype)
    if device.type == "cuda":
        return _cuda_call(module, x)

    def call() -> int:
        with torch.inference_mode():
            start = time.perf_counter_ns()
            module(x)
            return time.perf_counter_ns() - start

    return call


def example_input(network: Network, batch_size: int, seed: int) -> torch.Tensor:
    """A random batch of the network's input shape; token ids are 0 or 1, which every vocabulary has."""
    generator = torch.Generator().manual_seed(seed)
    shape = network.input_shape
    if isinstance(shape, TokensShape) and shape.features == 1:
        return torch.randint(0, 2, (batch_size, shape.length), generator=generator)
    sizes = [int(size) for size in vars(shape).values()]
    return torch.randn(batch_size, *sizes, generator=generator)


def _cuda_call(module: torch.nn.Module, x: torch.Tensor) -> TimedCall:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def call() -> int:
        with torch.inference_mode():
            # An idle device at the start: the time between the events then includes waiting for launches, as in use.
            torch.cuda.synchronize()
            start.record()
            module(x)
            end.record()
            torch.cuda.synchronize()
            return int(start.elapsed_time(end) * 1e6)

    return call
