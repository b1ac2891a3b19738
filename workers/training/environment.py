"""The process and its device: threads, deterministic kernels, and memory that is given back."""

import os

import torch

from workers.context import WorkContext


def prepare(context: WorkContext, threads: int | None = None) -> None:
    """Fix the number of CPU threads and make the device's kernels deterministic: same work, same bits.

    Kernels of a GPU that have no deterministic form warn and are used all the same.
    """
    torch.set_num_threads(threads or context.threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    device = torch.device(context.device)
    if device.type != "cuda":
        return
    if device.index is not None:
        torch.cuda.set_device(device)  # or whatever names no device would go to the first GPU of the node
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is used first
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it


def give_back_memory() -> None:
    """Return what torch keeps of the GPU's memory for later, after it ran out. What is in use stays in use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
