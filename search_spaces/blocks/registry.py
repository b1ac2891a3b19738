"""Every block kind by name."""

from __future__ import annotations

from search_spaces.blocks.base import Block
from search_spaces.blocks.convolution import ConvBNAct
from search_spaces.blocks.heads import ImageHead
from search_spaces.blocks.mobile import MBConv
from search_spaces.blocks.plumbing import Add, Concat, Identity, Zero

BLOCKS: dict[str, Block] = {
    block.kind: block
    for block in (
        Add(),
        Concat(),
        ConvBNAct(),
        Identity(),
        ImageHead(),
        MBConv(),
        Zero(),
    )
}
