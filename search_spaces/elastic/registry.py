"""The torch module of every block kind; the keys equal those of `search_spaces.blocks.registry`."""

from __future__ import annotations

from search_spaces.elastic.convolution import CONV_BN_ACT
from search_spaces.elastic.heads import IMAGE_HEAD
from search_spaces.elastic.mobile import MBCONV
from search_spaces.elastic.plumbing import ADD, CONCAT, IDENTITY, ZERO
from search_spaces.elastic.spec import ModuleSpec

MODULES: dict[str, ModuleSpec] = {
    "add": ADD,
    "concat": CONCAT,
    "conv_bn_act": CONV_BN_ACT,
    "identity": IDENTITY,
    "image_head": IMAGE_HEAD,
    "mbconv": MBCONV,
    "zero": ZERO,
}
