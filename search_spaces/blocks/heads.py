"""Image classification head: global average pool, optional hidden layer, linear classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, activation_param, flag, image, where
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import Shape, VectorShape


class ImageHead(Block):
    """Logits from a feature map. With `hidden` > 0 a linear layer and activation come first (MobileNetV3)."""

    kind = "image_head"
    help = "Global average pool and linear classifier, optionally with one hidden layer."
    params: ClassVar = (
        Param("out", "int", minimum=1, help="Number of classes, `=classes`."),
        Param("hidden", "int", 0, minimum=0, help="Units of the hidden layer; 0 for none."),
        Param("hidden_bias", "bool", True, help="Bias of the hidden layer."),
        activation_param("hswish"),
        Param("dropout", "float", 0.0, minimum=0.0, maximum=0.9, help="Dropout before the classifier."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        image(inputs, self.kind)
        return VectorShape(p["out"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        tally = Tally(inputs)
        tally.emit(x.channels)
        deep = flag(p["hidden"] > 0)
        tally.linear(x.channels, p["hidden"], bias=flag(p["hidden_bias"]), when=deep)
        tally.linear(where(p["hidden"] > 0, p["hidden"], x.channels), p["out"])
        return tally.cost()
