"""Reads text: a table with a text column (labelled or not), or a plain text file for language models."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.ingest_tables import read_column, read_table, text_column
from nas_service.datasets.limits import MAX_SAMPLES, check_bytes
from nas_service.datasets.raw import RawData, encode_labels
from nas_service.datasets.texts import RawText, TextForm
from nas_service.datasets.tokenizer import BYTES, CLASS, PAD, SPECIALS, split_text

DEFAULT_LENGTH = 64
_MAX_VOCABULARY = {"word": 10_000, "character": 1_000, "byte": len(SPECIALS) + len(BYTES)}
_MIN_COUNT = {"word": 2, "character": 1, "byte": 1}
# Parts that a single running text is cut into; each goes into one split as a whole.
_NUM_PARTS = 50


def ingest_text(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    split: str | None = None,
    group: str | None = None,
    tokenizer: str | None = None,
    length: int | None = None,
    vocabulary: int | None = None,
) -> RawData:
    """Text with labels: one sample a row, cut or padded to `length` ids after a [CLS]. Without: blocks of `length` ids.

    path: a .csv, .tsv, .jsonl or .parquet table with the column `text`, or a .txt file in UTF-8. Blocks of one row (a
    document) stay in one split; a .txt file is one running text, cut into contiguous parts. By default labelled text
    has words in lower case, other text characters. split, group: columns as for other tables.
    """
    kind = tokenizer or ("word" if label is not None else "character")
    form = TextForm(
        tokenizer=kind,
        length=DEFAULT_LENGTH if length is None else length,
        max_vocabulary=_MAX_VOCABULARY.get(kind, 0) if vocabulary is None else vocabulary,
        lowercase=kind == "word",
        min_count=_MIN_COUNT.get(kind, 1),
        class_token=label is not None,
    )
    source = {"format": "text", "text": text, "label": label}
    if Path(path).suffix.lower() == ".txt":
        for name, value in (("text", text), ("label", label), ("split", split), ("group", group)):
            if value is not None:
                raise DatasetError(name, "a plain text file has no columns", "a .csv, .tsv, .jsonl or .parquet table")
        pieces = _Pieces(form)
        x = pieces.blocks(_read_text(Path(path)))
        parts = np.arange(len(x)) * min(_NUM_PARTS, len(x)) // max(1, len(x))
        return _unlabelled(x, pieces, source, None, parts)
    return _from_table(Path(path), form, source, text, label, split, group)


def _from_table(
    path: Path, form: TextForm, source: dict[str, Any], text: str | None, label: str | None, split: str | None,
    group: str | None,
) -> RawData:  # fmt: skip
    if text is None:
        raise DatasetError(path.name, "no text column is named", "the name of the column with the text")
    where = path.name
    table = read_table(path, [text, label, split, group])
    texts = text_column(where, table, text)
    splits = None if split is None else np.array([str(value or "") for value in table.column(split).to_pylist()])
    groups = None if group is None else read_column(where, table, group).astype(str)
    pieces = _Pieces(form)
    if label is not None:
        y, classes = encode_labels(f"{where}, column {label!r}", read_column(where, table, label))
        check_bytes(where, 4 * form.length * len(texts))
        x = np.full((len(texts), form.length), PAD, dtype=np.int32)
        for row, value in enumerate(texts):
            ids = [CLASS, *pieces.ids(value)][: form.length]
            if len(ids) < 2:
                raise DatasetError(f"{where}, row {row + 1}, column {text!r}", "holds no text", "text in every row")
            x[row, : len(ids)] = ids
        return RawData("text", x, y, classes, source, splits, groups, text=RawText(form, pieces.found))
    documents = [pieces.blocks(value) for value in texts]
    if not any(len(blocks) for blocks in documents):
        raise DatasetError(f"{where}, column {text!r}", "holds no text", "rows of at least two tokens")
    row_of = np.repeat(np.arange(len(documents)), [len(blocks) for blocks in documents])
    return _unlabelled(
        np.concatenate(documents),
        pieces,
        source,
        None if splits is None else splits[row_of],
        row_of if groups is None else groups[row_of],
    )


def _unlabelled(
    x: np.ndarray, pieces: "_Pieces", source: dict[str, Any], splits: np.ndarray | None, groups: np.ndarray
) -> RawData:
    """Blocks without labels. Only the first of equal blocks is kept: copies would tie all of a repetitive text, or most
    of it, to one split.
    """
    first = np.sort(np.unique(x, axis=0, return_index=True)[1])
    source = {**source, "num_dropped_copies": len(x) - len(first)}
    y = np.zeros(len(first), dtype=np.int64)
    splits = None if splits is None else splits[first]
    return RawData("text", x[first], y, (), source, splits, groups[first], text=RawText(pieces.form, pieces.found))


class _Pieces:
    """Numbers the pieces of all text in order of appearance; which of them become tokens is known after the split."""

    def __init__(self, form: TextForm) -> None:
        self.form = form
        known: Iterable[str] = BYTES if form.tokenizer == "byte" else ()
        self._ids = {piece: number for number, piece in enumerate(known, start=len(SPECIALS))}

    @property
    def found(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def ids(self, text: str) -> list[int]:
        ids, first = self._ids, len(SPECIALS)
        pieces = split_text(text, self.form.tokenizer, self.form.lowercase)
        return [ids.setdefault(piece, first + len(ids)) for piece in pieces]

    def blocks(self, text: str) -> np.ndarray:
        """int32 (n, length): the text cut into blocks, the last one padded; no block of fewer than two ids."""
        length = self.form.length
        ids = np.array(self.ids(text), dtype=np.int32)
        num_blocks = len(ids) // length + (len(ids) % length >= 2)
        if num_blocks > MAX_SAMPLES:
            raise DatasetError("text", f"{num_blocks} blocks of {length} tokens", f"at most {MAX_SAMPLES}")
        x = np.full(num_blocks * length, PAD, dtype=np.int32)
        x[: len(ids)] = ids[: len(x)]
        return x.reshape(num_blocks, length)


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise DatasetError(str(path), "is no file", "a text file")
    check_bytes(path.name, 4 * path.stat().st_size)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(path.name, f"is not UTF-8 at byte {error.start}", "text in UTF-8") from error
