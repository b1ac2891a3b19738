"""Readers: digits, npz arrays, image folders and tables, and what they refuse."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.images import ImageError, ImageForm, open_image, to_array
from nas_service.datasets.ingest import (
    READERS,
    detect_format,
    ingest_digits,
    ingest_image_folder,
    ingest_npz,
    ingest_table,
)
from nas_service.datasets.limits import check_name
from nas_service.datasets.roots import resolve_inside


def png(colour: tuple[int, int, int] = (200, 10, 30), size: tuple[int, int] = (12, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def image_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 6) -> Path:
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.png").write_bytes(png((40 * k, 10 * i, 5)))
    return root


def test_digits_are_images_from_0_to_255():
    raw = ingest_digits()
    assert raw.x.shape == (1797, 1, 8, 8)
    assert raw.x.dtype == np.uint8
    assert (raw.x.min(), raw.x.max()) == (0, 255)
    assert raw.classes == tuple("0123456789")
    assert np.bincount(raw.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20, 9, 7), (20, 1, 9, 7)),
        ((20, 3, 9, 7), (20, 3, 9, 7)),
        ((20, 9, 7, 3), (20, 3, 9, 7)),
    ],
)
def test_npz_images_in_every_layout(tmp_path, shape, expected):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 3, classes=np.array(["p", "q", "r"]))
    raw = ingest_npz(tmp_path / "a.npz")
    assert raw.x.shape == expected
    assert raw.classes == ("p", "q", "r")
    if shape == (20, 9, 7, 3):
        assert (raw.x[4, 2] == x[4, :, :, 2]).all()


def test_npz_with_named_splits_and_text_labels(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 4))
    y = np.array(["b", "a", "c"] * 10)
    np.savez(tmp_path / "a.npz", x_train=x[:24], y_train=y[:24], x_test=x[24:], y_test=y[24:])
    raw = ingest_npz(tmp_path / "a.npz")
    assert raw.kind == "vector"
    assert raw.classes == ("a", "b", "c")
    assert raw.y[:3].tolist() == [1, 0, 2]
    assert raw.split_names.tolist() == ["train"] * 24 + ["test"] * 6


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"x": np.zeros((4, 3))}, "'y' is missing"),
        ({"x": np.array([{}, {}], dtype=object), "y": np.arange(2)}, "allow_pickle"),
        ({"x": np.zeros((4, 8, 8)), "y": np.arange(4)}, "images are float64"),
        ({"x": np.zeros((4, 3)), "y": np.arange(5)}, "4 samples but 5 labels"),
        ({"x": np.full((4, 3), np.nan), "y": np.arange(4)}, "NaN"),
        ({"x": np.zeros((4, 3)), "y": np.array([0.5, 1, 2, 3])}, "fractions"),
        ({"x": np.zeros((4, 3)), "y": np.zeros(4, dtype=int)}, "1 classes"),
        ({"x": np.zeros((4, 3)), "y": np.array([0, 1, 2, 3]), "classes": np.array(["a", "b"])}, "no index"),
        ({"x": np.zeros((4, 5, 6, 7), dtype=np.uint8), "y": np.arange(4)}, "shape"),
    ],
)
def test_npz_refuses(tmp_path, arrays, what):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DatasetError, match=what):
        ingest_npz(tmp_path / "a.npz")


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"\x80\x04pickle")
    with pytest.raises(DatasetError, match="cannot be read"):
        ingest_npz(tmp_path / "a.npz")


def test_image_folder_finds_classes_size_and_colour(tmp_path):
    raw = ingest_image_folder(image_folder(tmp_path / "pets"))
    assert raw.x.shape == (12, 3, 10, 12)
    assert raw.classes == ("cat", "dog")
    assert raw.y.tolist() == [0] * 6 + [1] * 6
    assert raw.x[7, :, 0, 0].tolist() == [40, 10, 5]
    assert raw.split_names is None


def test_image_folder_with_split_folders(tmp_path):
    image_folder(tmp_path / "pets" / "train")
    image_folder(tmp_path / "pets" / "val", count=2)
    raw = ingest_image_folder(tmp_path / "pets", size=(8, 8), channels=1)
    assert raw.x.shape == (16, 1, 8, 8)
    assert sorted(set(raw.split_names.tolist())) == ["train", "val"]


def test_image_folder_lists_what_it_cannot_use(tmp_path):
    root = image_folder(tmp_path / "pets")
    (root / "cat" / "broken.png").write_bytes(png()[:50])
    (tmp_path / "secret.png").write_bytes(png())
    os.symlink(tmp_path / "secret.png", root / "dog" / "link.png")
    raw = ingest_image_folder(root)
    assert {skipped.where for skipped in raw.skipped} == {"cat/broken.png", "dog/link.png"}
    assert len(raw.y) == 12
    with pytest.raises(DatasetError, match=r"cat/broken\.png"):
        ingest_image_folder(root, max_skipped=1)


def test_an_empty_class_folder_is_refused(tmp_path):
    root = image_folder(tmp_path / "pets")
    (root / "bird").mkdir()
    with pytest.raises(DatasetError, match="bird"):
        ingest_image_folder(root)


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    buffer = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="pixels"):
        open_image(buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"%!PS-Adobe-3.0", b"\x00" * 64])
def test_other_formats_are_refused(data):
    with pytest.raises(ImageError):
        open_image(data)


def test_orientation_transparency_and_depth_are_normalised():
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 3)).save(turned, "JPEG", exif=exif)
    assert open_image(turned.getvalue()).size == (3, 6)
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert to_array(clear, ImageForm(4, 4, 3)).min() == 255
    deep = Image.fromarray(np.full((4, 4), 65535, dtype=np.uint16))
    assert to_array(deep, ImageForm(4, 4, 1)).tolist() == [[[255] * 4] * 4]


def test_fit_crops_pads_or_stretches():
    wide = Image.fromarray(np.repeat(np.array([[0, 100, 200, 250]], dtype=np.uint8), 2, axis=0))
    assert to_array(wide, ImageForm(2, 2, 1, "crop")).tolist() == [[[100, 200], [100, 200]]]
    assert to_array(wide, ImageForm(4, 4, 1, "pad"))[0, 0].max() == 0
    assert to_array(wide, ImageForm(2, 2, 1, "stretch"))[0, 0, 0] < 100


def test_table_of_numbers_with_split_and_group(tmp_path):
    table = pa.table(
        {
            "a": [1.0, 2.0, 3.0, 4.0],
            "b": [1, 0, 1, 0],
            "kind": ["x", "y", "x", "y"],
            "who": [7, 7, 8, 9],
            "part": ["train"] * 4,
        }
    )
    csv.write_csv(table, tmp_path / "t.csv")
    raw = ingest_table(tmp_path / "t.csv", label="kind", split="part", group="who")
    assert raw.source["features"] == ["a", "b"]
    assert raw.x.tolist() == [[1, 1], [2, 0], [3, 1], [4, 0]]
    assert raw.groups.tolist() == ["7", "7", "8", "9"]


@pytest.mark.parametrize("form", ["bytes", "struct", "paths"])
def test_table_with_an_image_column(tmp_path, form):
    files = image_folder(tmp_path / "pets")
    names = [f"pets/{kind}/{i}.png" for kind in ("cat", "dog") for i in range(6)]
    blobs = [(tmp_path / name).read_bytes() for name in names]
    column = {"bytes": blobs, "struct": [{"bytes": blob, "path": None} for blob in blobs], "paths": names}[form]
    parquet.write_table(pa.table({"image": column, "label": ["c"] * 6 + ["d"] * 6}), tmp_path / "t.parquet")
    raw = ingest_table(tmp_path / "t.parquet", label="label", image="image")
    assert (raw.x == ingest_image_folder(files).x).all()


def test_paths_in_a_table_cannot_leave_their_root(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png())
    (tmp_path / "out.png").write_bytes(png())
    names = ["a.png", "a.png", "../out.png", str(tmp_path / "out.png"), "missing.png", "nul\0.png"]
    parquet.write_table(pa.table({"image": names, "label": [0, 1, 0, 1, 0, 1]}), tmp_path / "in" / "t.parquet")
    raw = ingest_table(tmp_path / "in" / "t.parquet", label="label", image="image")
    assert len(raw.y) == 2
    assert len(raw.skipped) == 4
    assert "row 3" in raw.skipped[0].where


@pytest.mark.parametrize(
    ("columns", "options", "what"),
    [
        ({"a": [1.0, None], "y": [0, 1]}, {}, "row 2, column 'a'.*empty"),
        ({"a": [1.0, float("inf")], "y": [0, 1]}, {}, "row 2, column 'a'"),
        ({"a": [1.0, 2.0], "y": [0, 1]}, {"label": "z"}, "column 'z'.*does not exist"),
        ({"a": ["p", "q"], "y": [0, 1]}, {}, "0 numeric columns"),
        ({"a": ["p", "q"], "y": [0, 1]}, {"features": ["a"]}, "holds string"),
        ({"a": [1.0, 2.0], "y": [0, 1]}, {"image": "a"}, "holds double"),
    ],
)
def test_table_refuses(tmp_path, columns, options, what):
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=what):
        ingest_table(tmp_path / "t.parquet", **{"label": "y", **options})


def test_only_allowed_roots(tmp_path):
    inside, outside, alike = tmp_path / "in", tmp_path / "out", tmp_path / "inner"
    for folder in (inside, outside, alike):
        folder.mkdir()
    (outside / "a.npz").write_bytes(b"")
    os.symlink(outside / "a.npz", inside / "link.npz")
    assert resolve_inside(inside, [inside]) == inside.resolve()
    for path in (
        inside / "link.npz",
        inside / ".." / "out" / "a.npz",
        alike,
        inside / "missing",
        f"{inside}\0",
        "/etc/passwd",
    ):
        with pytest.raises(DatasetError):
            resolve_inside(path, [inside])
    with pytest.raises(DatasetError):
        resolve_inside(inside, [])


def test_names_and_formats():
    assert check_name("my-data_1.0") == "my-data_1.0"
    for name in ("", "../x", "a b", ".hidden", "x" * 101, "é", "a\n"):
        with pytest.raises(DatasetError):
            check_name(name)
    assert {detect_format("a.csv"), detect_format("b.PARQUET"), detect_format("c.npz")} <= set(READERS)
    with pytest.raises(DatasetError):
        detect_format("a.pkl")
