"""Every block kind by name: the built-in ones, and those that installed packages add (see `search_spaces.plugins`)."""

from __future__ import annotations

from search_spaces.blocks.attention import Attend
from search_spaces.blocks.base import Block
from search_spaces.blocks.cells import BNRelu, FactorizedReduce, ReluConvBN, SepConv, SkipConnect
from search_spaces.blocks.channel_attention import ChannelAttention
from search_spaces.blocks.convolution import ConvBNAct
from search_spaces.blocks.heads import ImageHead
from search_spaces.blocks.hybrid import AttentionBottleneck, MapAttention, MapFeedForward, PositionalBottleneck
from search_spaces.blocks.mobile import MBConv
from search_spaces.blocks.norms import Bias, LayerScale, MapNorm
from search_spaces.blocks.plumbing import (
    Activation,
    Add,
    ChannelPart,
    ChannelShuffle,
    ChannelSlice,
    Concat,
    Dropout,
    Identity,
    Mean,
    Multiply,
    Scale,
    Zero,
)
from search_spaces.blocks.pooling import Pool
from search_spaces.blocks.recurrent import Recurrent
from search_spaces.blocks.resizing import (
    Flatten,
    GlobalPool,
    MapTokens,
    SpaceToDepth,
    TokenMap,
    TransposedConv,
    Unflatten,
    Upsample,
)
from search_spaces.blocks.resnet import BasicBlock, Bottleneck, Shortcut
from search_spaces.blocks.sequence_convolution import SequenceConv
from search_spaces.blocks.sequences import (
    LanguageHead,
    LearnedTokens,
    PatchEmbedding,
    SequenceHead,
    SequencePool,
    TokenEmbedding,
    TokenNorm,
    TokenPool,
    TokenProjection,
    TokenReduction,
)
from search_spaces.blocks.transformer import ConvMixer, FeedForward, PositionMixer, SelfAttention, TransformMixer
from search_spaces.blocks.vectors import FeatureTokens, Linear, ResidualMLP, VectorHead
from search_spaces.plugins import added_blocks

BLOCKS: dict[str, Block] = {
    block.kind: block
    for block in (
        Activation(),
        Add(),
        Attend(),
        AttentionBottleneck(),
        BasicBlock(),
        Bias(),
        BNRelu(),
        Bottleneck(),
        ChannelAttention(),
        ChannelPart(),
        ChannelShuffle(),
        ChannelSlice(),
        Concat(),
        ConvBNAct(),
        ConvMixer(),
        Dropout(),
        FactorizedReduce(),
        FeatureTokens(),
        FeedForward(),
        Flatten(),
        GlobalPool(),
        Identity(),
        ImageHead(),
        LanguageHead(),
        LayerScale(),
        LearnedTokens(),
        Linear(),
        MapAttention(),
        MapFeedForward(),
        MapNorm(),
        MapTokens(),
        MBConv(),
        Mean(),
        Multiply(),
        PatchEmbedding(),
        Pool(),
        PositionalBottleneck(),
        PositionMixer(),
        Recurrent(),
        ReluConvBN(),
        ResidualMLP(),
        Scale(),
        SelfAttention(),
        SepConv(),
        SequenceConv(),
        SequenceHead(),
        SequencePool(),
        Shortcut(),
        SkipConnect(),
        SpaceToDepth(),
        TokenEmbedding(),
        TokenMap(),
        TokenNorm(),
        TokenPool(),
        TokenProjection(),
        TokenReduction(),
        TransformMixer(),
        TransposedConv(),
        Unflatten(),
        Upsample(),
        VectorHead(),
        Zero(),
    )
}
BLOCKS |= added_blocks(BLOCKS)
