"""Plain module of `conv_bn_act`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.layers import ConvBNAct, make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


def conv_bn_act_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    channels = image(inputs, "conv_bn_act").channels
    return {
        "in_channels": channels,
        "out_channels": p["out"],
        "kernel_size": (p["kernel"], p["kernel_width"]) if p["kernel_width"] else p["kernel"],
        "stride": p["stride"],
        "activation": p["activation"],
        "norm": bool(p["norm"]),
        "bias": bool(p["bias"]) and not p["norm"],
        "groups": channels // p["group_size"] if p["group_size"] else 1,
        "dilation": p["dilation"],
    }


def widen_grouped(arguments: Arguments, envelope: Envelope) -> Arguments:
    """An ungrouped convolution holds the weights of every grouped one."""
    return arguments | {"groups": 1} if 0 in envelope.params["group_size"] else arguments


def widen_convolution(arguments: Arguments, envelope: Envelope) -> Arguments:
    """As wide as the widest kernel, those that are squares among them."""
    sizes: Mapping[str, Any] = envelope.params
    heights, widths = sizes["kernel"], sizes["kernel_width"]
    size = (max(heights), max(*widths, *(heights if 0 in widths else widths)))
    return widen_grouped(arguments, envelope) | {"kernel_size": size[0] if size[0] == size[1] else size}


CONV_BN_ACT = ModuleSpec(ConvBNAct, conv_bn_act_arguments, helpers=(make_activation,), widen=widen_convolution)
