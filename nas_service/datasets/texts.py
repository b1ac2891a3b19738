"""Text in standard form: what a reader says about it, and the tokenizer that is built from the train split alone."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.limits import MAX_LENGTH, MAX_VOCABULARY
from nas_service.datasets.tokenizer import BYTES, KINDS, PAD, SPECIALS, UNKNOWN, Tokenizer


@dataclass(frozen=True)
class TextForm:
    """How text becomes ids: kind of pieces, ids of a sample, largest vocabulary (special tokens included).

    A piece that train holds fewer than `min_count` times is unknown, so that networks learn what unknown means.
    """

    tokenizer: str
    length: int
    max_vocabulary: int
    lowercase: bool
    min_count: int
    class_token: bool

    def __post_init__(self) -> None:
        if self.tokenizer not in KINDS:
            raise DatasetError("tokenizer", repr(self.tokenizer), ", ".join(KINDS))
        if not 2 <= self.length <= MAX_LENGTH:
            raise DatasetError("length", str(self.length), f"2 to {MAX_LENGTH} tokens")
        least = len(SPECIALS) + (len(BYTES) if self.tokenizer == "byte" else 1)
        if not least <= self.max_vocabulary <= MAX_VOCABULARY:
            raise DatasetError("vocabulary", str(self.max_vocabulary), f"{least} to {MAX_VOCABULARY} tokens")


@dataclass(frozen=True)
class RawText:
    """What the ids of a reader mean before there is a tokenizer: special ids, then `pieces` in order."""

    form: TextForm
    pieces: tuple[str, ...]


def fit_tokenizer(raw: RawText, x: np.ndarray, is_train: np.ndarray) -> tuple[Tokenizer, np.ndarray]:
    """The tokenizer of the train split, and all samples (N, L) in its ids, int32.

    The most frequent pieces come first, equally frequent ones in text order. Raises DatasetError when train has none.
    """
    form, first = raw.form, len(SPECIALS)
    if form.tokenizer == "byte":
        kept = np.arange(len(BYTES))
    else:
        counts = np.bincount(x[is_train].ravel(), minlength=first + len(raw.pieces))[first:]
        alphabetic = np.argsort(np.array(raw.pieces))
        order = alphabetic[np.argsort(-counts[alphabetic], kind="stable")]
        kept = order[counts[order] >= form.min_count][: form.max_vocabulary - first]
    if not len(kept):
        raise DatasetError(
            "vocabulary", f"train holds no piece of text {form.min_count} times", "more text, or another tokenizer"
        )
    tokens = [raw.pieces[i] for i in kept.tolist()]
    tokenizer = Tokenizer(form.tokenizer, tokens, form.lowercase, form.length, form.class_token)
    table = np.full(first + len(raw.pieces), UNKNOWN, dtype=np.int32)
    table[:first] = np.arange(first)
    table[first + kept] = first + np.arange(len(kept))
    return tokenizer, table[x]


def tokenizer_facts(tokenizer: Tokenizer, x: np.ndarray) -> dict[str, Any]:
    """What dataset.json says of the tokenizer; the tokens themselves lie beside it in tokenizer.json."""
    num_real = int((x != PAD).sum())
    return {
        **{key: value for key, value in tokenizer.to_json().items() if key != "tokens"},
        "vocabulary": tokenizer.vocabulary,
        "sha256": tokenizer_sha256(tokenizer),
        "share_padding": round(1.0 - num_real / x.size, 4),
        "share_unknown": round(int((x == UNKNOWN).sum()) / max(1, num_real), 4),
    }


def tokenizer_text(tokenizer: Tokenizer) -> str:
    """Content of tokenizer.json."""
    return json.dumps(tokenizer.to_json(), sort_keys=True, ensure_ascii=True)


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Digest of tokenizer.json."""
    return hashlib.sha256(tokenizer_text(tokenizer).encode()).hexdigest()
