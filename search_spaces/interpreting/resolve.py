"""From one architecture's genes to its concrete network: one run of the program, absent nodes left out."""

from __future__ import annotations

import numpy as np

from search_spaces.compiling.program import Program
from search_spaces.errors import SpaceError
from search_spaces.interpreting.flows import plain_shape
from search_spaces.interpreting.machine import Machine
from search_spaces.network import Network, Node


def resolve_network(program: Program, genes: np.ndarray) -> Network:
    """The network of canonical genes (G,). Raises SpaceError where a block cannot be built."""
    machine = Machine(program, genes, with_cost=False)
    output = machine.run()
    places = {0: 0}
    nodes: list[Node] = []
    for visit in machine.visits:
        if not visit.mask:
            continue
        nodes.append(
            Node(
                key=visit.op.key,
                block=visit.op.block.kind,
                params=dict(visit.params),
                inputs=tuple(places[int(flow.ids)] for flow in visit.inputs),
                in_shapes=tuple(plain_shape(flow.shape) for flow in visit.inputs),
                out_shape=plain_shape(visit.out.shape),
            )
        )
        places[visit.op.step + 1] = len(nodes)
    if not nodes:
        raise SpaceError("/network", "network", "the network may be empty", "give it a node that always exists")
    if places[int(output.ids)] != len(nodes):
        raise SpaceError(
            "/network", "output", "the network's output is not its last node", "end with the node that is the output"
        )
    return Network(program.task, program.classes, plain_shape(machine.registers[0].shape), tuple(nodes))
