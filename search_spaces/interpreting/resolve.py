"""From one architecture's genes to its concrete network: one run of the program, absent nodes left out."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from search_spaces.compiling.program import Program
from search_spaces.errors import SpaceError
from search_spaces.interpreting.machine import Machine
from search_spaces.network import Network, Node
from search_spaces.shapes import Shape


def resolve_network(program: Program, genes: np.ndarray) -> Network:
    """The network of canonical genes (G,). Raises SpaceError where a block cannot be built."""
    machine = Machine(program, [int(option) for option in genes], with_cost=False)
    output = machine.run()
    places = {0: 0}
    nodes: list[Node] = []
    for visit in machine.visits:
        if not visit.mask:
            continue
        inputs = list(visit.inputs)
        nodes.append(
            Node(
                key=visit.op.key,
                block=visit.op.block.kind,
                params=dict(visit.params),
                inputs=tuple(places[int(flow.ids)] for flow in inputs),
                in_shapes=tuple(_plain(flow.shape) for flow in inputs),
                out_shape=_plain(visit.out.shape),
            )
        )
        places[visit.op.step + 1] = len(nodes)
    if not nodes:
        raise SpaceError("/network", "network", "the network may be empty", "give it a node that always exists")
    if places[int(output.ids)] != len(nodes):
        raise SpaceError(
            "/network", "output", "the network's output is not its last node", "end with the node that is the output"
        )
    start = _plain(machine.registers[0].shape)
    return Network(program.task, program.classes, start, tuple(nodes))


def _plain(shape: Shape) -> Shape:
    return type(shape)(*(int(getattr(shape, part.name)) for part in fields(shape)))
