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


# What other tools call things, by what they are called here.
_ELSEWHERE = {
    "conv_bn_act": ["conv2d", "conv", "convolution", "conv_bn_relu", "depthwiseconv2d", "depthwise_conv2d"],
    "pool": [
        "maxpool",
        "maxpool2d",
        "avgpool",
        "avgpool2d",
        "max_pool",
        "avg_pool",
        "maxpooling2d",
        "averagepooling2d",
    ],
    "linear": ["dense", "fc"],
    "image_head": ["fc", "classifier"],
    "self_attention": ["attention", "mha", "multihead_attention"],
    "map_attention": ["window_attention", "swin", "swin_block"],
    "feed_forward": ["mlp", "ffn", "swiglu", "glu"],
    "position_mixer": ["token_mixer", "token_mixing", "mixer", "mixer_block"],
    "upsample": ["interpolate", "resize", "upsampling"],
    "transposed_conv": ["conv_transpose", "convtranspose2d", "conv_transpose2d", "deconv", "deconvolution", "up_conv"],
    "mean": ["average", "avg"],
    "unflatten": ["reshape", "view", "to_sequence"],
    "channel_attention": ["xca", "cross_covariance_attention"],
    "add": ["sum", "plus"],
    "scale": ["complement", "one_minus", "subtract", "sub", "minus", "difference", "negate"],
    "channel_part": ["split", "chunk", "channel_split"],
    "channel_slice": ["slice", "narrow", "split"],
    "sequence_pool": ["global_pool1d", "token_mean", "mean_tokens", "adaptiveavgpool1d", "globalaveragepooling1d"],
    "token_pool": ["pool1d", "maxpool1d", "avgpool1d", "max_pool1d", "avg_pool1d", "maxpooling1d", "averagepooling1d"],
    "multiply": ["mul", "gate", "product", "se", "squeeze_excite", "attention_gate"],
    "space_to_depth": ["pixel_unshuffle", "patchify", "patch_merging", "patch_conv"],
    "global_pool": ["gap", "global_avg_pool", "global_average_pool", "adaptive_avg_pool2d", "adaptiveavgpool2d"],
    "map_norm": ["group_norm", "norm", "layer_norm", "layernorm", "layernorm2d", "layer_norm2d"],
    "rms_norm": ["rms", "rmsnorm"],
    "token_embedding": ["embedding"],
    "token_norm": ["layer_norm", "layernorm", "rmsnorm", "rms_norm", "batchnorm1d"],
    "bn_relu": ["batch_norm", "batchnorm", "batchnorm2d", "batchnormalization", "norm"],
    "activation": ["act", "relu", "gelu", "nonlinearity"],
    "mbconv": ["inverted_residual"],
    "identity": ["skip"],
    "sequence_conv": ["conv1d", "conv_1d", "text_cnn", "temporal_conv"],
    "sep_conv": ["depthwise_separable"],
    "basic_block": ["resblock", "residual_block"],
    "out": ["filters", "channels", "units", "width"],
    "channels": ["channels"],
    "features": ["units", "width", "out", "out_channels", "out_features", "filters", "channels", "d_model", "dim"],
    "factor": ["scale", "scale_factor", "size"],
    "mid": ["hidden", "expansion", "expand_ratio"],
    "stride": ["strides"],
    "kernel": ["pool_size", "filter_size"],
    "size": ["kernel", "kernel_size", "pool_size", "stride", "window"],
    "swish": ["silu"],
    "leaky_relu": ["lrelu", "leakyrelu"],
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
    "for_each": ["foreach", "for"],
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
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    elsewhere = [name for name, others in _ELSEWHERE.items() if name in names and word.lower() in others]
    parts = [name for name in names if name in word.lower().split("_")]
    found = elsewhere or close or (parts if len(parts) == 1 else [])
    if found:
        return "did you mean " + " or ".join(f"'{name}'" for name in found[:2]) + "?"
    if not names:
        return ""
    return "known: " + ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")


def pointer_of(*parts: str | int) -> str:
    """JSON pointer of a path of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
