"""A network: the concrete, fully resolved list of nodes that an architecture stands for. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search_spaces.blocks.registry import BLOCKS
from search_spaces.shapes import Shape, elements, shape_from_json, shape_to_json

Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Node:
    """One block of a network. `inputs` index values: 0 is the network input, i + 1 the output of node i.

    `key` names the weights: two nodes with one key share their weights, in the network and in the supernet.
    """

    key: str
    block: str
    params: dict[str, Scalar]
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape


@dataclass(frozen=True)
class NetworkCost:
    """Cost of one example: executed multiply-accumulates, learnable numbers, operator outputs, peak live bytes."""

    macs: int
    params: int
    activations: int
    peak_activation_bytes: int


@dataclass(frozen=True)
class Network:
    """Nodes in topological order; the output is the last node. `classes` is None where the task has none."""

    task: str
    classes: int | None
    input_shape: Shape
    nodes: tuple[Node, ...]

    def cost(self) -> NetworkCost:
        """Cost as executed; activations are float32. Peak = live values plus the running block's own peak."""
        macs = activations = peak = 0
        params: set[tuple[str, int]] = set()  # a key once for each width that it is used in, as `PlainNetwork` has it
        last_use = {value: step for step, node in enumerate(self.nodes) for value in node.inputs}
        sizes = [int(elements(self.input_shape))] + [int(elements(node.out_shape)) for node in self.nodes]
        live = {0} if 0 in last_use else set()
        for step, node in enumerate(self.nodes):
            cost = BLOCKS[node.block].cost(node.in_shapes, node.params)
            macs += int(cost.macs)
            activations += int(cost.activations)
            params.add((node.key, int(cost.params)))
            others = sum(sizes[value] for value in live if value not in node.inputs)
            peak = max(peak, others + int(cost.peak_elements))
            live = {value for value in live if last_use[value] > step}
            if step + 1 in last_use:
                live.add(step + 1)
        return NetworkCost(macs, sum(count for _, count in params), activations, peak * 4)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; `Network.from_json` restores an equal network."""
        return {
            "task": self.task,
            "classes": self.classes,
            "input_shape": shape_to_json(self.input_shape),
            "nodes": [
                {
                    "key": node.key,
                    "block": node.block,
                    "params": dict(node.params),
                    "inputs": list(node.inputs),
                    "in_shapes": [shape_to_json(shape) for shape in node.in_shapes],
                    "out_shape": shape_to_json(node.out_shape),
                }
                for node in self.nodes
            ],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Network:
        """Inverse of `to_json`. Parameters that a block has got since the network was stored take their defaults."""

        def defaults(kind: str) -> dict[str, Scalar]:
            declared = BLOCKS[kind].params if kind in BLOCKS else ()
            return {param.name: param.default for param in declared if param.default is not None}

        nodes = tuple(
            Node(
                key=node["key"],
                block=node["block"],
                params=defaults(node["block"]) | node["params"],
                inputs=tuple(node["inputs"]),
                in_shapes=tuple(shape_from_json(shape) for shape in node["in_shapes"]),
                out_shape=shape_from_json(node["out_shape"]),
            )
            for node in data["nodes"]
        )
        return Network(data["task"], data["classes"], shape_from_json(data["input_shape"]), nodes)


@dataclass(frozen=True)
class Envelope:
    """Everything a weight key may become: the possible values of each parameter and of each input's shape."""

    key: str
    block: str
    params: dict[str, tuple[Scalar, ...]]
    in_shapes: tuple[tuple[Shape, ...], ...]


def largest_shape(shapes: tuple[Shape, ...]) -> Shape:
    """Element-wise largest of several shapes of one kind."""
    first = shapes[0]
    sizes = {name: max(int(getattr(shape, name)) for shape in shapes) for name in vars(first)}
    return type(first)(**sizes)


def options_up_to_largest(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Possible values of a parameter, numbers and truth values in ascending order."""
    return tuple(sorted(values)) if all(isinstance(value, (bool, int, float)) for value in values) else values
