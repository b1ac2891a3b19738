"""Source of a standalone `model.py`: the plain network as readable torch code that needs nothing of this project."""

from __future__ import annotations

import inspect
from typing import Any

from search_spaces.elastic.padding import call_inputs, masks_of, real_tokens
from search_spaces.elastic.plain import last_uses, module_names
from search_spaces.elastic.registry import MODULES
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, Shape, TokensShape

LINE = 100


def plain_source(network: Network) -> str:
    """Python source with a class `Model` whose `state_dict` keys equal those of `PlainNetwork(network)`.

    The source imports torch alone (and `math` where a layer needs it).
    """
    classes = _class_sources(network)
    model = _model_source(network)
    body = "\n\n\n".join([*classes, model]) + "\n"
    imports = ["import math\n"] if "math." in body else []
    imports += ["import torch", "from torch import nn"]
    imports += ["from torch.nn import functional as F"] if "F." in body else []
    head = f'"""A network for {network.task}, as plain torch layers."""\n\nfrom __future__ import annotations\n\n'
    return head + "\n".join(imports) + "\n\n\n" + body


def _class_sources(network: Network) -> list[str]:
    """Source of every class and function that the network's layers need, each once, helpers first."""
    wanted: dict[Any, None] = {}
    for node in network.nodes:
        spec = MODULES[node.block]
        for item in (*spec.helpers, spec.cls):
            if not item.__module__.startswith("torch."):
                wanted.setdefault(item)
    if masks_of(call_inputs(network)):
        wanted.setdefault(real_tokens)
    return [inspect.getsource(item).rstrip() for item in wanted]


def _model_source(network: Network) -> str:
    names = module_names(network)
    lines = ["class Model(nn.Module):", f'    """{_describe(network)}"""', "", "    def __init__(self) -> None:"]
    lines.append("        super().__init__()")
    for name, node in dict(zip(names, network.nodes, strict=True)).items():
        spec = MODULES[node.block]
        prefix = "nn." if spec.cls.__module__.startswith("torch.") else ""
        arguments = spec.arguments(node.in_shapes, node.params)
        lines += _call(f"        self.{name} = {prefix}{spec.cls.__name__}", arguments)
    lines += ["", "    def forward(self, x: torch.Tensor) -> torch.Tensor:"]
    variables = {0: "x"}
    for mask in masks_of(call_inputs(network)):
        variables[mask] = "real" if mask == -1 else f"real_{-mask}"
        lines.append(f"        {variables[mask]} = real_tokens(x)" + ("" if mask == -1 else f"[:, ::{-mask}]"))
    calls = zip(names, network.nodes, call_inputs(network), last_uses(network), strict=True)
    for number, (name, node, inputs, finished) in enumerate(calls):
        arguments_text = ", ".join(variables[value] for value in inputs)
        reuse = len(node.inputs) == 1 and node.inputs[0] in finished
        variables[number + 1] = variables[node.inputs[0]] if reuse else f"v{number + 1}"
        lines.append(f"        {variables[number + 1]} = self.{name}({arguments_text})")
    lines.append(f"        return {variables[len(network.nodes)]}")
    return "\n".join(lines)


def _call(prefix: str, arguments: dict[str, Any]) -> list[str]:
    """A constructor call on one line, or one argument a line where it would be too long."""
    texts = [f"{key}={value!r}" for key, value in arguments.items()]
    line = f"{prefix}({', '.join(texts)})"
    if len(line) <= LINE:
        return [line]
    return [f"{prefix}(", *(f"            {text}," for text in texts), "        )"]


def _describe(network: Network) -> str:
    shape: Shape = network.input_shape
    if isinstance(shape, ImageShape):
        return f"Input: float images (N, {shape.channels}, {shape.height}, {shape.width})."
    if isinstance(shape, TokensShape):
        return f"Input: int64 token ids (N, {shape.length})."
    return f"Input: float vectors (N, {shape.features})."
