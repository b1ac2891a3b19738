"""Pooling with same padding: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, image, strided
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import ImageShape, Shape, elements


class Pool(Block):
    """Maximum or average over k x k windows; padding never counts in an average."""

    kind = "pool"
    help = "Max or average pooling, same padding."
    params: ClassVar = (
        Param("operation", "str", "avg", allowed=("avg", "max"), help="Average or maximum."),
        Param("kernel", "int", 3, allowed=(1, 2, 3, 5, 7), help="Window size; 2 needs stride 2."),
        Param("stride", "int", 1, allowed=(1, 2, 4), help="Stride."),
        Param("norm", "bool", False, help="Batch norm without scale and shift after it (DARTS)."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return ImageShape(x.channels, strided(x.height, p["stride"]), strided(x.width, p["stride"]))

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()
