"""Recurrent layers along a sequence: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, flag, tokens, where
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.blocks.sequences import FEATURES
from search_spaces.shapes import Shape, TokensShape


class Recurrent(Block):
    """A GRU (Cho et al. 2014, arXiv 1406.1078) or an LSTM (Hochreiter and Schmidhuber 1997) along the sequence.

    The output is the state at every token. With `bidirectional` a second layer reads from the end; both outputs stand
    side by side. Gates have two biases, as in torch. A step waits for the one before it: long sequences take long.
    """

    kind = "recurrent"
    help = "GRU or LSTM along the sequence, whose states are the output; both directions side by side."
    params: ClassVar = (
        FEATURES,
        Param("cell", "str", "gru", allowed=("gru", "lstm"), help="Three gates, or four and a memory."),
        Param("bidirectional", "bool", False, help="Another layer from the end, beside the first: twice the features."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return TokensShape(tokens(inputs, self.kind).length, p["features"] * (1 + flag(p["bidirectional"])))

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return p["bidirectional"]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x, state = tokens(inputs, self.kind), p["features"]
        gates = where(p["cell"] == "lstm", 4, 3)
        layers = gates * (1 + flag(p["bidirectional"]))
        tally = Tally(inputs)
        tally.macs = x.length * layers * state * (x.features + state)
        tally.params = layers * state * (x.features + state + 2)
        tally.activations = 2 * x.length * layers * state
        tally.hold(x.length * gates * state)  # what all tokens give to the gates of one direction
        tally.emit(x.length * state * (1 + flag(p["bidirectional"])))
        return tally.cost()
