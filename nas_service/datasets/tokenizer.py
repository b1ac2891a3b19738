"""Text to token ids and back. Needs nothing but Python: an exported text network carries this file as it is."""

import re
import unicodedata

PAD, UNKNOWN, CLASS, MASK = range(4)
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]")
KINDS = ("word", "character", "byte")
BYTES = tuple(chr(value) for value in range(256))

_WORD = re.compile(r"\w+|[^\w\s]")


def split_text(text: str, kind: str, lowercase: bool) -> list[str]:
    """The pieces of a text, in Unicode's composed form: words and marks, characters, or bytes (as Latin-1)."""
    text = unicodedata.normalize("NFC", text)
    if lowercase:
        text = text.lower()
    if kind == "word":
        return _WORD.findall(text)
    return list(text if kind == "character" else text.encode("utf-8", "replace").decode("latin-1"))


class Tokenizer:
    """Ids 0 to 3 are the special tokens, then come `tokens` in order; a piece that is none of them is unknown.

    `length` is how many ids a text has for the network; `class_token` says whether the first one is [CLS].
    """

    def __init__(self, kind: str, tokens: list[str], lowercase: bool, length: int, class_token: bool) -> None:
        if kind not in KINDS:
            raise ValueError(f"tokenizer {kind!r} is none of {', '.join(KINDS)}")
        self.kind = kind
        self.tokens = list(tokens)
        self.lowercase = lowercase
        self.length = length
        self.class_token = class_token
        self._ids = {token: number for number, token in enumerate(self.tokens, start=len(SPECIALS))}

    @property
    def vocabulary(self) -> int:
        """Number of ids, the special ones included."""
        return len(SPECIALS) + len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of a text without padding, at most `length` of them; "[MASK]" in the text is the mask token."""
        ids = [CLASS] if self.class_token else []
        for number, part in enumerate(text.split(SPECIALS[MASK])):
            ids += [MASK] * (number > 0)
            ids += [self._ids.get(piece, UNKNOWN) for piece in split_text(part, self.kind, self.lowercase)]
        return ids[: self.length]

    def pad(self, ids: list[int]) -> list[int]:
        """Exactly `length` ids."""
        return ids + [PAD] * (self.length - len(ids))

    def decode(self, ids: list[int]) -> str:
        """Text of ids; padding and [CLS] are left out."""
        first = len(SPECIALS)
        pieces = [self.tokens[i - first] if i >= first else SPECIALS[i] for i in ids if i not in (PAD, CLASS)]
        if self.kind == "word":
            return " ".join(pieces)
        text = "".join(pieces)
        return text if self.kind == "character" else text.encode("latin-1", "replace").decode("utf-8", "replace")

    def to_json(self) -> dict[str, object]:
        """Plain data; `Tokenizer(**data)` restores an equal tokenizer."""
        return {
            "kind": self.kind,
            "tokens": self.tokens,
            "lowercase": self.lowercase,
            "length": self.length,
            "class_token": self.class_token,
        }
