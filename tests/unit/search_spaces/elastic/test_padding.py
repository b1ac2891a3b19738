"""Padding of texts: what stands behind a text changes nothing about its answer."""

import numpy as np
import pytest
import torch

from nas_service.datasets.tokenizer import CLASS, PAD
from search_spaces.elastic.padding import real_tokens
from search_spaces.elastic.plain import build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.space import SearchSpace

SHORT, LONG, REAL_LENGTH = 12, 20, 9
ATTENTION = {"block": "self_attention", "heads": {"one_of": [1, 2]}, "head_dim": 8}
ATTEND = {"block": "attend", "heads": {"one_of": [1, 2]}}
SHORTER = [
    {"block": "token_pool", "name": "s", "inputs": ["x"]},
    {"block": "token_projection", "name": "k", "features": 16},
]
LATENTS = {"block": "learned_tokens", "name": "q", "inputs": ["x"], "length": 3, "features": 16}
MIXERS = {
    "attention": ATTENTION,
    "post norm": {**ATTENTION, "norm": "post"},
    "causal": {**ATTENTION, "causal": True},
    "windows": {**ATTENTION, "window": {"one_of": [1, 4]}},
    "distances": {**ATTENTION, "distance_bias": {"one_of": [2, 30]}},
    "rotary": {**ATTENTION, "rotary": True, "rms_norm": True},
    "convolution": {"block": "conv_mixer", "kernel": {"one_of": [3, 9]}},
    "causal convolution": {"block": "conv_mixer", "kernel": {"one_of": [3, 9]}, "causal": True},
    "filters": {"block": "sequence_conv", "features": {"one_of": [8, 16]}, "kernel": {"one_of": [3, 4]}},
    "dilated filters": {"block": "sequence_conv", "features": 16, "kernel": 3, "dilation": {"one_of": [1, 3]}},
    "shorter by a stride": {"block": "sequence_conv", "features": 16, "kernel": 5, "stride": 2},
    "bare branch": {"residual": [{"block": "token_norm"}, {**ATTENTION, "norm": "none", "residual": False}]},
    "pooled": {"sequence": [{"block": "token_pool", "operation": "max"}, ATTENTION]},
    "linear attention to fewer": {"graph": {"body": [*SHORTER, ATTEND | {"linear": True, "inputs": ["x", "k", "s"]}]}},
    "recurrent": {"block": "recurrent", "features": 8, "bidirectional": True, "cell": {"one_of": ["gru", "lstm"]}},
    "latents": {"graph": {"body": [LATENTS, ATTEND | {"inputs": ["q", "x", "x"]}, ATTENTION]}},
    "positions": {"residual": [{"block": "token_norm"}, {"block": "position_mixer", "mid": {"one_of": [0, 8]}}]},
}


def space_of(mixer: dict[str, object], pool: str) -> SearchSpace:
    return SearchSpace.from_document(
        {
            "language_version": 1,
            "name": "padded",
            "task": {"kind": "sequence_classification", "classes": 3},
            "input": {"length": {"one_of": [SHORT, LONG]}, "vocabulary": 30},
            "network": [
                {"block": "token_embedding", "features": 16, "vocabulary": 30},
                {"repeat": {"count": 2, "body": [mixer, {"block": "feed_forward", "mid": 16}]}},
                {"block": "sequence_head", "out": 3, "pool": pool},
            ],
        }
    )


def padded_texts() -> torch.Tensor:
    """(8, LONG): [CLS], eight words, padding."""
    x = torch.full((8, LONG), PAD)
    x[:, :REAL_LENGTH] = torch.randint(4, 30, (8, REAL_LENGTH), generator=torch.Generator().manual_seed(0))
    x[:, 0] = CLASS
    return x


@pytest.mark.parametrize("pool", ["first", "mean", "max"])
@pytest.mark.parametrize("mixer", MIXERS.values(), ids=MIXERS.keys())
def test_more_padding_leaves_the_answers(mixer: dict[str, object], pool: str) -> None:
    space = space_of(mixer, pool)
    supernet = Supernet(space).eval()
    place = next(i for i, gene in enumerate(space.genes) if gene.name.endswith("length"))
    x = padded_texts()
    for genes in space.sample(4, np.random.default_rng(1)):
        answers = []
        for option in range(2):
            genes[place] = option
            with torch.inference_mode(), supernet.active(genes):
                answers.append(supernet(x))
                torch.testing.assert_close(supernet.extract(genes)(x[:, : (SHORT, LONG)[option]]), answers[-1])
        torch.testing.assert_close(answers[0], answers[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transform", ["dft", "dct"])
def test_transforms_read_nothing_from_padding(transform: str) -> None:
    """The embedding of padding may be anything."""
    space = space_of({"block": "transform_mixer", "transform": transform}, "mean")
    plain = build_plain(space.resolve(space.largest()), seed=0).eval()
    x = padded_texts()
    with torch.inference_mode():
        before = plain(x)
        plain.get_parameter("token_embedding.tokens.weight")[PAD] += 7.0
        torch.testing.assert_close(plain(x), before)


def test_an_empty_text_has_an_answer() -> None:
    space = space_of(ATTENTION, "mean")
    plain = build_plain(space.resolve(space.largest()), seed=0).eval()
    x = torch.full((2, LONG), PAD)
    assert real_tokens(x).sum(1).tolist() == [1, 1]
    assert plain(x).isfinite().all()
