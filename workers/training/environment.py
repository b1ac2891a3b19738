"""The process and its device: threads, deterministic kernels, and memory that is kept or given back."""

import ctypes
import os

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
    """Let the C library keep freed memory for the next tensors of up to 32 MiB, 512 MiB in all.

    By default it returns most of it to the system at once, and every step or scored batch waits for fresh pages: up to
    half of the time of small networks. C libraries other than glibc know nothing of this and stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 512 << 20)


def give_back_memory() -> None:
    """Return what torch keeps of the GPU's memory for later, after it ran out. What is in use stays in use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
