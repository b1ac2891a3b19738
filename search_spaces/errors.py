"""The error of the search-space language: where a document is wrong, which rule it breaks, what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a document. `pointer` is a JSON pointer (RFC 6901) into the document as written."""

    pointer: str
    rule: str
    message: str
    suggestion: str = ""
    line: int | None = None  # in the text that was read, from 1

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line else ""
        text = f"{self.pointer or '/'}{where}: {self.message} [{self.rule}]"
        return f"{text} - {self.suggestion}" if self.suggestion else text


class SpaceError(ValueError):
    """A document, architecture or gene matrix that the language refuses. `.problems` lists every finding."""

    def __init__(
        self, pointer: str | Sequence[Problem], rule: str = "", message: str = "", suggestion: str = ""
    ) -> None:
        if isinstance(pointer, str):
            self.problems: tuple[Problem, ...] = (Problem(pointer, rule, message, suggestion),)
        else:
            self.problems = tuple(pointer)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def pointer(self) -> str:
        return self.problems[0].pointer

    @property
    def rule(self) -> str:
        return self.problems[0].rule

    @property
    def message(self) -> str:
        return self.problems[0].message

    @property
    def suggestion(self) -> str:
        return self.problems[0].suggestion


# What other tools call things (underscores make no difference), by what they are called here.
_ELSEWHERE = {
    "conv_bn_act": ["conv2d", "conv", "convolution", "conv_bn_relu", "depthwise_conv2d", "stem", "conv1x1", "conv3x3"],
    "pool": ["max_pool", "max_pool2d", "max_pooling2d", "avg_pool", "avg_pool2d", "average_pooling2d"],
    "linear": ["dense", "fc"],
    "attend": ["cross_attention", "linear_attention", "performer", "lite_mla", "scaled_dot_product_attention"],
    "map_tokens": ["to_tokens", "rearrange", "to_sequence", "tokenizer"],
    "recurrent": ["lstm", "gru", "rnn", "bilstm", "bigru"],
    "learned_tokens": ["latents", "latent_array", "query_tokens", "class_token", "cls_token", "seeds"],
    "token_map": ["to_map", "to_image"],
    "image_head": ["fc", "classifier", "head", "classification_head"],
    "sequence_head": ["classifier", "head", "pooler", "classification_head"],
    "language_head": ["head", "lm_head", "decoder", "mlm_head"],
    "self_attention": ["attention", "mha", "multi_head_attention", "multihead_attention"],
    "map_attention": ["window_attention", "swin", "swin_block"],
    "feed_forward": ["mlp", "ffn", "swiglu", "glu", "moe", "mixture_of_experts", "switch_ffn"],
    "position_mixer": ["token_mixer", "token_mixing", "mixer", "mixer_block"],
    "upsample": ["interpolate", "resize", "upsampling"],
    "transposed_conv": ["conv_transpose", "conv_transpose2d", "deconv", "deconvolution", "up_conv"],
    "mean": ["average", "avg"],
    "unflatten": ["reshape", "view"],
    "channel_attention": ["xca", "cross_covariance_attention"],
    "add": ["sum", "plus"],
    "scale": ["complement", "one_minus", "subtract", "sub", "minus", "difference", "negate"],
    "channel_part": ["split", "chunk", "channel_split"],
    "channel_slice": ["slice", "narrow", "split"],
    "sequence_pool": ["global_pool1d", "token_mean", "mean_tokens", "adaptiveavgpool1d", "globalaveragepooling1d"],
    "token_pool": ["pool1d", "max_pool1d", "avg_pool1d", "max_pooling1d", "average_pooling1d"],
    "multiply": ["mul", "gate", "product", "se", "squeeze_excite", "attention_gate"],
    "space_to_depth": ["pixel_unshuffle", "patchify", "patch_merging", "patch_conv"],
    "global_pool": ["gap", "global_avg_pool", "global_average_pool", "adaptive_avg_pool2d"],
    "map_norm": ["group_norm", "norm", "layer_norm", "layer_norm2d"],
    "rms_norm": ["rms"],
    "token_embedding": ["embedding", "embeddings", "word_embeddings"],
    "token_norm": ["layer_norm", "rms_norm", "batch_norm1d"],
    "bn_relu": ["batch_norm", "batch_norm2d", "batch_normalization", "norm"],
    "activation": ["act", "relu", "gelu", "nonlinearity", "hidden_act", "act_fn"],
    "mbconv": ["inverted_residual", "inverted_bottleneck", "mb_conv", "ir"],
    "identity": ["skip"],
    "sequence_conv": ["conv1d", "text_cnn", "temporal_conv"],
    "sep_conv": ["depthwise_separable"],
    "basic_block": ["resblock", "residual_block"],
    "out": ["filters", "channels", "units", "width", "c_out", "classes", "num_classes", "num_labels"],
    "channels": ["channels"],
    "features": [
        "hidden",
        "hidden_size",
        "units",
        "width",
        "out",
        "out_channels",
        "out_features",
        "filters",
        "channels",
        "d_model",
        "dim",
    ],
    "factor": ["scale", "scale_factor", "size"],
    "mid": [
        *("hidden", "expansion", "expand_ratio", "expand", "exp_ratio", "expansion_ratio", "e", "t", "mlp_ratio"),
        *("intermediate_size", "hidden_dim", "ffn_dim", "d_ff", "dim_feedforward", "mlp_dim", "bottleneck_ratio"),
    ],
    "experts": ["num_experts", "num_local_experts", "n_experts"],
    "active": ["top_k", "k", "num_experts_per_tok", "topk"],
    "se_ratio": ["se", "squeeze_excite", "squeeze_ratio"],
    "kv_heads": ["num_key_value_heads", "n_kv_heads", "groups"],
    "stride": ["strides"],
    "kernel": ["pool_size", "filter_size"],
    "size": ["kernel", "kernel_size", "pool_size", "stride", "window"],
    "swish": ["silu"],
    "leaky_relu": ["lrelu"],
    "hswish": ["hard_swish"],
    "hsigmoid": ["hard_sigmoid"],
    "none": ["linear"],
    "block": ["type", "op", "layer", "module", "kind"],
    "repeat": ["loop", "stack"],
    "count": ["times", "n", "depth"],
    "one_of": ["choice", "choices", "options", "categorical", "values", "_value", "_type"],
    "int": ["range", "randint", "low", "high"],
    "float": ["uniform"],
    "many_of": ["subset"],
    "use": ["template"],
    "for_each": ["for"],
    "with": ["args"],
    "parameters": ["params"],
    "resolution": ["size", "image_size"],
    "classes": ["num_classes"],
    "vocabulary": ["vocab_size"],
    "network": ["layers", "nodes", "search_space"],
    "body": ["nodes"],
    "constraints": ["if", "require"],
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion naming the closest known word, else the list of known words (shortened)."""
    names = sorted({str(name) for name in known})
    found = meant(word, names)
    if found:
        return "did you mean " + " or ".join(f"'{name}'" for name in found) + "?"
    if not names:
        return ""
    return "known: " + ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")


def meant(word: str, names: Sequence[str]) -> list[str]:
    """Which of the names a word may stand for: as other tools call it, else one of like spelling."""
    parts = [name for name in names if name in word.lower().split("_")]
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return called_elsewhere(word, names) or close or (parts if len(parts) == 1 else [])


def called_elsewhere(word: str, names: Sequence[str]) -> list[str]:
    """Those of the names (three at most) that other tools have this word for."""
    plain = _plain(word.lower())
    return [name for name, words in _ELSEWHERE.items() if name in names and plain in map(_plain, words)][:3]


def _plain(word: str) -> str:
    """The word without underscores, but for one that begins it (`_type`)."""
    return word[:1] + word[1:].replace("_", "")


def pointer_of(*parts: str | int) -> str:
    """JSON pointer of a path of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
