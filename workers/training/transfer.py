"""Between host and device: arrays in without waiting for what the device is doing, tensors out with a single wait."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor. To a GPU it goes through pinned memory: a copy from other memory waits for the stream."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as contiguous ones in the host's memory; those that are there already are not copied.

    Copies from a GPU go to pinned memory one behind the other, and are waited for once: each by itself would stop the
    device as often as a network has parameters.
    """
    found, devices = {}, set()
    for name, tensor in tensors.items():
        if tensor.device.type == "cpu":
            found[name] = tensor.detach().contiguous()
            continue
        found[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda")
        found[name].copy_(tensor.detach(), non_blocking=True)
        devices.add(tensor.device)
    for device in devices:
        torch.accelerator.synchronize(device)
    return found
