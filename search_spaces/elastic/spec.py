"""How a block kind becomes a plain torch module, and how that module grows into a supernet's layer.

Only the plain module is written by hand. Its elastic form is derived: the widest module holds the
weights, and any narrower one reads slices of them (see `elastic_block.py`). So in its forward pass a module reads
its tensors and layers as attributes, not through `parameters()` or `_modules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from search_spaces.network import Envelope
from search_spaces.shapes import Shape

Arguments = dict[str, Any]


def as_given(arguments: Arguments, envelope: Envelope) -> Arguments:
    """The widest module has exactly the layers that its own arguments say."""
    return arguments


@dataclass(frozen=True)
class ModuleSpec:
    """`arguments` turns input shapes and block parameters into the constructor's keyword arguments.

    `helpers` are the classes and functions that the class's source needs, in order of definition.
    `widen` switches on layers that some member of an envelope has but the one with the largest
    numbers may lack. `last_norm` is the path of the norm that ends a residual branch (its scale is
    what zero initialisation sets to 0), None where there is no such branch. `branch` is the path of the layer whose
    output is the residual branch, which training may drop (stochastic depth). `masks` says that the module's forward
    takes, after its inputs, which tokens are real (N, L; None: all) of the input `masked_input`, and keeps padding out
    of the others. `shortens` names the parameter that says how many tokens become one; without `keeps_places` those
    of the output have nothing to do with the places of a text.
    """

    cls: type[nn.Module]
    arguments: Callable[[tuple[Shape, ...], Mapping[str, Any]], Arguments]
    helpers: tuple[Any, ...] = ()
    widen: Callable[[Arguments, Envelope], Arguments] = as_given
    last_norm: str | None = None
    branch: str | None = None
    masks: bool = False
    masked_input: int = 0
    shortens: str | None = None
    keeps_places: bool = True
