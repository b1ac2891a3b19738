"""Norm, learned scale and bias by themselves, to build branches of: map norm, layer scale, bias. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, image
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import ImageShape, Shape, elements


class MapNorm(Block):
    """Layer norm over the channels of each pixel."""

    kind = "map_norm"
    help = "Layer norm over the channels of each pixel of a feature map."

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return image(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.learn(2 * image(inputs, self.kind).channels)
        tally.emit(elements(inputs[0]))
        return tally.cost()


class _PerChannel(Block):
    """One learned number for each channel or feature; what comes in keeps its shape."""

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = inputs[0]
        tally = Tally(inputs)
        tally.learn(x.channels if isinstance(x, ImageShape) else x.features)
        return tally.cost()


class LayerScale(_PerChannel):
    """Each channel or feature times a learned number (CaiT, Touvron et al. 2021, arXiv 2103.17239)."""

    kind = "layer_scale"
    help = "Each channel or feature times a learned number, as at the end of a residual branch."
    params: ClassVar = (
        Param("start", "float", 0.1, minimum=0.0, help="Where the numbers start: 0.1 in CaiT, 1e-6 in ConvNeXt."),
    )


class Bias(_PerChannel):
    """Each channel or feature plus a learned number: the bias of a tied head (BERT), half of the affine of ResMLP."""

    kind = "bias"
    help = "Each channel or feature plus a learned number, as behind a tied `language_head` (BERT)."
