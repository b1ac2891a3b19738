"""Builds the networks to be measured: folders that a measuring process can load."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import nn

from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.network import Network
from search_spaces.space import SearchSpace
from workers.context import WorkContext
from workers.measure.onnx_file import write_onnx
from workers.measure.torch_runner import example_input
from workers.training.checkpoint import open_checkpoint
from workers.training.optimise import load_tensors

_EXAMPLES = 2


def load_supernet(space: SearchSpace, supernet: dict[str, Any], context: WorkContext) -> Supernet:
    """The supernet of a payload, {id, checkpoint: {path, sha256}}, on the CPU in eval mode. Raises CheckpointError."""
    checkpoint = supernet["checkpoint"]
    found = open_checkpoint(context.resolve(checkpoint["path"]), checkpoint["sha256"])
    module = Supernet(space)
    load_tensors(module, found.weights())
    return module.eval()


def plain_network(network: Network, genes: np.ndarray, supernet: Supernet | None, seed: int) -> PlainNetwork:
    """The architecture's network with the supernet's weights, or with random ones: they make no difference to time."""
    return (build_plain(network, seed=seed) if supernet is None else supernet.extract(genes)).eval()


def write_folder(folder: Path, module: nn.Module, network: Network, runtime: str, seed: int) -> None:
    """What `runtime` needs of a network: network.json and model.safetensors, or model.onnx."""
    folder.mkdir()
    if runtime == "onnxruntime":
        write_onnx(module, example_input(network, _EXAMPLES, seed), folder / "model.onnx")
        return
    (folder / "network.json").write_text(json.dumps(network.to_json()))
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, folder / "model.safetensors")
