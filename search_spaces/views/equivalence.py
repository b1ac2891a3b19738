"""Which architectures are the same computation: a key of the network's graph, for counting and de-duplication.

Three simplifications may be applied, each on top of the one before. They are NAS-Bench-201's notions of a unique cell
(Dong and Yang 2020) stated on graphs, plus full flattening:
- `structure`: nothing is simplified (only the order of summands is forgotten);
- `skip`: identities are removed;
- `zero`: also, what is computed from zeros alone is zero where the published rule sees it: on single values, not
  through sums;
- `algebra`: sums are flattened and zeros dropped from them, so that equal polynomials of operations are equal.

One more rule, `graph`, simplifies nothing but forgets the numbering of nodes and drops those that nothing reads on the
way to the output: two networks are the same where their graphs are isomorphic, which NAS-Bench-101 counts.

The two middle rules compare texts as the published code does: a sum read through a skip joins the text of the sum
that reads it, so what they merge depends on the order of operation names. Only `algebra` is a property of the graph.
The published texts are those of one cell, whose input is one symbol. Here it is the value that all nodes behind it are
computed from alone: the output of the cell before.
The keys are for counting: costs and tables always belong to the architecture as written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

from search_spaces.network import Network, Node
from search_spaces.views.graph_key import network_graph_key

Rule = Literal["structure", "skip", "zero", "algebra", "graph"]
ZERO = "#"
MAX_TEXT = 4_096  # longer texts are hashed: a value read twice would double them at every node


def equivalence_key(network: Network, rule: Rule = "algebra") -> str:
    """`eqv_` + 32 hex digits; equal for networks that the rule calls the same."""
    if rule == "graph":
        return "eqv_" + hashlib.sha256(str(network_graph_key(network)).encode()).hexdigest()[:32]
    values = ["0"]
    terms: list[tuple[str, ...]] = [("0",)]  # the summands that a value is made of
    last_read = {value: place for place, node in enumerate(network.nodes) for value in node.inputs}
    read_until = last_read.get(0, 0)  # by which node the values so far are read for the last time
    for place, node in enumerate(network.nodes):
        parts = _summands(node, values, terms, rule)
        if rule in ("skip", "zero") and read_until <= place and parts != (ZERO,):
            parts = (_digest(parts),)
        read_until = max(read_until, last_read.get(place + 1, 0))
        terms.append(parts)
        values.append(parts[0] if len(parts) == 1 else _digest(("sum", *parts)))
    return "eqv_" + hashlib.sha256(values[-1].encode()).hexdigest()[:32]


def _summands(node: Node, values: Sequence[str], terms: Sequence[tuple[str, ...]], rule: Rule) -> tuple[str, ...]:
    read = [values[position] for position in node.inputs]
    if node.block == "identity" and rule != "structure":
        return terms[node.inputs[0]] if rule == "algebra" else (read[0],)
    if node.block == "zero" and rule in ("zero", "algebra"):
        return (ZERO,)
    if node.block == "add":
        if rule == "algebra":
            flat = [part for position in node.inputs for part in terms[position] if part != ZERO]
            return tuple(sorted(flat)) or (ZERO,)
        if rule == "structure":
            return (_digest(("add", *sorted(read))),)
        text = "+".join(sorted(read))
        return (text if len(text) <= MAX_TEXT else _digest((text,)),)
    if rule in ("zero", "algebra") and read and all(value == ZERO for value in read):
        return (ZERO,)
    label = node.key.rsplit(".", 1)[-1]
    what = hashlib.sha256((node.block + json.dumps(node.params, sort_keys=True)).encode()).hexdigest()[:8]
    text = f"({','.join(read)})@{label}:{what}"
    return (text if len(text) <= MAX_TEXT else _digest((text,)),)


def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
