"""The process and its device: threads, deterministic kernels, and memory that is kept or given back."""

import ctypes
import os
from typing import Any

import torch

from workers.context import WorkContext

# Names of glibc's malloc.h for the blocks that are mapped by themselves and the free memory that is given back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def prepare(context: WorkContext, threads: int | None = None) -> None:
    """Fix the number of CPU threads and make the device's kernels deterministic: same work, same bits.

    Kernels of a GPU that have no deterministic form warn and are used all the same.
    """
    torch.set_num_threads(threads or context.threads)
    keep_memory()
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


def keep_memory() -> None:
    """Let the C library keep freed memory for the next tensors of up to 32 MiB, until `give_back_memory`.

    By default it returns most of it to the system at once, and every step or scored batch waits for fresh pages: up to
    half of the time of small networks. C libraries other than glibc know nothing of this and stay as they are.
    """
    mallopt = _of_c_library("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 512 << 20)


def give_back_memory() -> None:
    """Return to the system, and on a GPU to the driver, what is kept for later. What is in use stays in use.

    Without being told, the C library returns only what lies behind everything in use: after the training of a large
    network that is next to nothing.
    """
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_c_library(name: str) -> Any:
    """A function that glibc has and others may not have; None there."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
