"""Text: tokenizers, readers, splits without leaks, the standard form and what is refused."""

import io
import json
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import csv, parquet

from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.errors import DatasetError
from nas_service.datasets.ingest import READERS, detect_format
from nas_service.datasets.ingest_text import ingest_text
from nas_service.datasets.preview import preview, samples, shown_text
from nas_service.datasets.store import DatasetStore
from nas_service.datasets.tokenizer import BYTES, CLASS, KINDS, MASK, PAD, SPECIALS, UNKNOWN, Tokenizer
from tests.support.texts import write_questions, write_story


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def questions(folder):
    raw = ingest_text(write_questions(folder / "questions.jsonl"), text="text", label="kind", length=12)
    return build_dataset("questions", raw)


@pytest.fixture(scope="module")
def story(folder):
    return build_dataset("story", ingest_text(write_story(folder / "story.txt"), length=64))


def test_labelled_text_in_standard_form(questions):
    assert questions.kind == "text"
    assert questions.classes == ("number", "person", "place")
    assert questions.x.dtype == np.int32
    assert questions.info["input"] == {"length": 12, "vocabulary": questions.tokenizer.vocabulary}
    assert (questions.x[:, 0] == CLASS).all()
    assert questions.x.max() < questions.tokenizer.vocabulary
    words = set(questions.tokenizer.tokens)
    assert {"how", "many", "where", "?"} <= words
    row = int(questions.indices("test")[0])
    text = questions.tokenizer.decode(questions.x[row].tolist())
    assert questions.tokenizer.pad(questions.tokenizer.encode(text)) == questions.x[row].tolist()
    assert questions.normalise(questions.x[:2]).dtype == np.int64


def test_the_tokenizer_knows_the_train_split_alone(tmp_path):
    rows = [{"text": f"common word{i // 2}", "y": i % 2, "part": "train"} for i in range(60)]
    rows += [{"text": f"common secret secret{i}", "y": i % 2, "part": "test"} for i in range(30)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = build_dataset("t", ingest_text(tmp_path / "t.jsonl", text="text", label="y", split="part", length=6))
    assert "secret" not in dataset.tokenizer.tokens
    test = dataset.arrays("test")[0]
    common = len(SPECIALS) + dataset.tokenizer.tokens.index("common")
    assert (test[:, :4] == [CLASS, common, UNKNOWN, UNKNOWN]).all()
    assert (test[:, 4:] == PAD).all()


def test_running_text_becomes_blocks_in_contiguous_parts(folder, story):
    assert story.classes == ()
    assert set(story.y.tolist()) == {0}
    text = (folder / "story.txt").read_text()
    blocks = [story.tokenizer.decode(row.tolist()) for row in story.x]
    assert story.info["source"]["num_dropped_copies"] < 5
    assert "".join(blocks)[:1000] == text[:1000]
    assert all(block in text for block in blocks if "[UNK]" not in block)
    # Neighbouring blocks mostly share a split: at most one border for each of the 50 parts.
    assert (np.diff(story.split.astype(int)) != 0).sum() < 50
    assert min(story.info["splits"].values()) > 0


def test_blocks_of_a_document_share_a_split(tmp_path):
    rng = np.random.default_rng(0)
    documents = ["".join(rng.choice(list("abcdef "), 70)) for _ in range(40)]
    parquet.write_table(pa.table({"body": documents}), tmp_path / "d.parquet")
    dataset = build_dataset("d", ingest_text(tmp_path / "d.parquet", text="body", length=16))
    assert len(dataset.x) == 40 * 5
    assert all(len(set(part)) == 1 for part in dataset.split.reshape(40, 5).tolist())
    assert (dataset.x[4] == PAD).sum() == 10


def test_copies_of_blocks_are_dropped(tmp_path):
    (tmp_path / "t.txt").write_text("".join(f"{'ab' * 8}{i:016d}" for i in range(100)))
    dataset = build_dataset("t", ingest_text(tmp_path / "t.txt", length=16))
    assert dataset.num_samples == 101
    assert dataset.info["source"]["num_dropped_copies"] == 99


def test_copies_share_a_split(tmp_path):
    texts = [f"the same question {i // 2} ?" for i in range(80)]
    csv.write_csv(pa.table({"text": texts, "y": [0, 1] * 40}), tmp_path / "t.csv")
    dataset = build_dataset("t", ingest_text(tmp_path / "t.csv", text="text", label="y", length=8))
    assert dataset.info["duplicates"]["num_duplicates"] == 40
    assert dataset.info["duplicates"]["num_conflicting_labels"] == 40
    assert (dataset.split[::2] == dataset.split[1::2]).all()


def test_fingerprint_store_and_damage(tmp_path, folder, questions):
    store = DatasetStore(tmp_path)
    path = store.write(questions)
    loaded = store.load(questions.fingerprint)
    assert loaded.tokenizer.to_json() == questions.tokenizer.to_json()
    raw = ingest_text(folder / "questions.jsonl", text="text", label="kind", length=12, vocabulary=30)
    assert build_dataset("questions", raw).fingerprint != questions.fingerprint
    document = json.loads((path / "tokenizer.json").read_text())
    document["tokens"][0], document["tokens"][1] = document["tokens"][1], document["tokens"][0]
    (path / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="tokenizer"):
        store.load(questions.fingerprint)


def test_preview_shows_decoded_text(questions, story):
    index = int(questions.indices("train")[0])
    assert shown_text(questions, index).startswith(questions.classes[int(questions.y[index])] + ": ")
    assert shown_text(questions, index) in [f"{one.label}: {one.text}" for one in samples(questions, 400)]
    image = Image.open(io.BytesIO(preview(questions, 5, "search")))
    assert image.width > image.height
    assert np.asarray(image).min() < 100  # there are letters on it
    assert Image.open(io.BytesIO(preview(story, 3))).height > 60


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=40))
def test_characters_and_bytes_come_back(kind, text):
    tokens = list(BYTES) if kind == "byte" else sorted(set(unicodedata.normalize("NFC", text)))
    tokenizer = Tokenizer(kind, tokens, False, 400, True)
    ids = tokenizer.encode(text)
    assert ids[0] == CLASS
    assert all(0 <= i < tokenizer.vocabulary for i in ids)
    again = Tokenizer(**json.loads(json.dumps(tokenizer.to_json())))
    assert again.encode(text) == ids
    if kind != "word" and "[MASK]" not in text:
        assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_masks_unknown_pieces_and_padding():
    tokenizer = Tokenizer("word", ["a", "b"], True, 6, False)
    assert tokenizer.encode("A [MASK] c b") == [4, MASK, UNKNOWN, 5]
    assert tokenizer.pad([4, MASK]) == [4, MASK, PAD, PAD, PAD, PAD]
    assert tokenizer.decode([4, MASK, UNKNOWN, PAD]) == "a [MASK] [UNK]"
    with pytest.raises(ValueError, match="tokenizer"):
        Tokenizer("sentence", [], False, 4, False)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "no text column"),
        ({"text": "body"}, "'body'.*does not exist"),
        ({"text": "n"}, "holds int64"),
        ({"text": "text", "label": "n", "tokenizer": "sentence"}, "word, character, byte"),
        ({"text": "text", "label": "n", "length": 1}, "length"),
        ({"text": "text", "label": "n", "vocabulary": 4}, "vocabulary"),
        ({"text": "gap", "label": "n"}, "row 2, column 'gap'"),
        ({"text": "blank", "label": "n"}, "row 2, column 'blank'.*no text"),
    ],
)
def test_tables_of_text_refused(tmp_path, options, what):
    columns = {"text": ["a b", "c d"], "n": [0, 1], "gap": ["a", None], "blank": ["a", "  "]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=what):
        ingest_text(tmp_path / "t.parquet", **options)


def test_files_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc\xff\xfe")
    with pytest.raises(DatasetError, match="not UTF-8 at byte 3"):
        ingest_text(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("a text")
    with pytest.raises(DatasetError, match="no columns"):
        ingest_text(tmp_path / "b.txt", text="text")
    (tmp_path / "c.jsonl").write_text('{"text": "a"\n')
    with pytest.raises(DatasetError, match="cannot be read"):
        ingest_text(tmp_path / "c.jsonl", text="text")
    (tmp_path / "d.csv").write_text('text,y\n"one\ntwo",0\nthree three,1\n')
    raw = ingest_text(tmp_path / "d.csv", text="text", label="y", length=4)
    assert raw.x.shape == (2, 4)
    assert raw.text.pieces == ("one", "two", "three")
    rows = [{"text": f"word{i}", "y": i % 2} for i in range(40)]
    (tmp_path / "once.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DatasetError, match="2 times"):
        build_dataset("once", ingest_text(tmp_path / "once.jsonl", text="text", label="y"))
    assert detect_format("a.txt") in READERS
    assert detect_format("b.jsonl") == "table"
