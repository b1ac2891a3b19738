"""The torch module of every block kind; the keys equal those of `search_spaces.blocks.registry`."""

from __future__ import annotations

from search_spaces.elastic.attention import ATTEND
from search_spaces.elastic.cells import BN_RELU, FACTORIZED_REDUCE, POOL, RELU_CONV_BN, SEP_CONV, SKIP_CONNECT
from search_spaces.elastic.channel_attention import CHANNEL_ATTENTION
from search_spaces.elastic.convolution import CONV_BN_ACT
from search_spaces.elastic.heads import IMAGE_HEAD
from search_spaces.elastic.hybrid import ATTENTION_BOTTLENECK, MAP_ATTENTION, MAP_FEED_FORWARD, POSITIONAL_BOTTLENECK
from search_spaces.elastic.mobile import MBCONV
from search_spaces.elastic.norms import BIAS, LAYER_SCALE, MAP_NORM
from search_spaces.elastic.plugins import added_modules
from search_spaces.elastic.plumbing import (
    ACTIVATION,
    ADD,
    CHANNEL_PART,
    CHANNEL_SHUFFLE,
    CHANNEL_SLICE,
    CONCAT,
    DROPOUT,
    IDENTITY,
    MEAN,
    MULTIPLY,
    SCALE,
    ZERO,
)
from search_spaces.elastic.recurrent import RECURRENT
from search_spaces.elastic.resizing import (
    FLATTEN,
    GLOBAL_POOL,
    MAP_TOKENS,
    SPACE_TO_DEPTH,
    TOKEN_MAP,
    TRANSPOSED_CONV,
    UNFLATTEN,
    UPSAMPLE,
)
from search_spaces.elastic.resnet import BASIC_BLOCK, BOTTLENECK, SHORTCUT
from search_spaces.elastic.sequence_convolution import SEQUENCE_CONV
from search_spaces.elastic.sequences import (
    LANGUAGE_HEAD,
    LEARNED_TOKENS,
    PATCH_EMBEDDING,
    SEQUENCE_HEAD,
    SEQUENCE_POOL,
    TOKEN_EMBEDDING,
    TOKEN_NORM,
    TOKEN_POOL,
    TOKEN_PROJECTION,
    TOKEN_REDUCTION,
)
from search_spaces.elastic.spec import ModuleSpec
from search_spaces.elastic.transformer import (
    CONV_MIXER,
    FEED_FORWARD,
    POSITION_MIXER,
    SELF_ATTENTION,
    TRANSFORM_MIXER,
)
from search_spaces.elastic.vectors import FEATURE_TOKENS, LINEAR, RESIDUAL_MLP, VECTOR_HEAD

MODULES: dict[str, ModuleSpec] = {
    "activation": ACTIVATION,
    "add": ADD,
    "attend": ATTEND,
    "attention_bottleneck": ATTENTION_BOTTLENECK,
    "basic_block": BASIC_BLOCK,
    "bias": BIAS,
    "bn_relu": BN_RELU,
    "bottleneck": BOTTLENECK,
    "channel_attention": CHANNEL_ATTENTION,
    "channel_part": CHANNEL_PART,
    "channel_shuffle": CHANNEL_SHUFFLE,
    "channel_slice": CHANNEL_SLICE,
    "concat": CONCAT,
    "conv_bn_act": CONV_BN_ACT,
    "conv_mixer": CONV_MIXER,
    "dropout": DROPOUT,
    "factorized_reduce": FACTORIZED_REDUCE,
    "feature_tokens": FEATURE_TOKENS,
    "feed_forward": FEED_FORWARD,
    "flatten": FLATTEN,
    "global_pool": GLOBAL_POOL,
    "identity": IDENTITY,
    "image_head": IMAGE_HEAD,
    "language_head": LANGUAGE_HEAD,
    "layer_scale": LAYER_SCALE,
    "learned_tokens": LEARNED_TOKENS,
    "linear": LINEAR,
    "map_attention": MAP_ATTENTION,
    "map_feed_forward": MAP_FEED_FORWARD,
    "map_norm": MAP_NORM,
    "map_tokens": MAP_TOKENS,
    "mbconv": MBCONV,
    "mean": MEAN,
    "multiply": MULTIPLY,
    "patch_embedding": PATCH_EMBEDDING,
    "pool": POOL,
    "position_mixer": POSITION_MIXER,
    "positional_bottleneck": POSITIONAL_BOTTLENECK,
    "recurrent": RECURRENT,
    "relu_conv_bn": RELU_CONV_BN,
    "residual_mlp": RESIDUAL_MLP,
    "scale": SCALE,
    "self_attention": SELF_ATTENTION,
    "sep_conv": SEP_CONV,
    "sequence_conv": SEQUENCE_CONV,
    "sequence_head": SEQUENCE_HEAD,
    "sequence_pool": SEQUENCE_POOL,
    "shortcut": SHORTCUT,
    "skip_connect": SKIP_CONNECT,
    "space_to_depth": SPACE_TO_DEPTH,
    "token_embedding": TOKEN_EMBEDDING,
    "token_map": TOKEN_MAP,
    "token_norm": TOKEN_NORM,
    "token_pool": TOKEN_POOL,
    "token_projection": TOKEN_PROJECTION,
    "token_reduction": TOKEN_REDUCTION,
    "transform_mixer": TRANSFORM_MIXER,
    "transposed_conv": TRANSPOSED_CONV,
    "unflatten": UNFLATTEN,
    "upsample": UPSAMPLE,
    "vector_head": VECTOR_HEAD,
    "zero": ZERO,
}
MODULES |= added_modules(MODULES)
