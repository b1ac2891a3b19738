"""Random streams named by what they are for, so that no draw depends on what was drawn before it."""

import hashlib
import json

import numpy as np


def stream_key(seed: int, *parts: int | str) -> int:
    """A 128-bit key for the stream (seed, parts...), the same on every machine."""
    text = json.dumps([seed, *parts])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, *parts: int | str) -> np.random.Generator:
    """An independent counter-based generator for the stream (seed, parts...)."""
    return np.random.Generator(np.random.Philox(key=stream_key(seed, *parts)))
