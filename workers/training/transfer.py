"""Arrays of the host as tensors on the device, without waiting for what the device is doing."""

import numpy as np
import torch
from torch import Tensor


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor. To a GPU it goes through pinned memory: a copy from other memory waits for the stream."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
