"""Settings of the process that results depend on: threads and deterministic kernels."""

import torch

from workers.context import WorkContext


def prepare(context: WorkContext, threads: int | None = None) -> None:
    """Fix the number of CPU threads and make the device's kernels deterministic: same work, same bits."""
    torch.set_num_threads(threads or context.threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
