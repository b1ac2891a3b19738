"""Standard form: fingerprint, normalisation, atomic writes, damage, preview."""

import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from nas_service.datasets import store as store_module
from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.errors import DatasetError
from nas_service.datasets.ingest import ingest_digits
from nas_service.datasets.preview import preview, samples
from nas_service.datasets.raw import RawData
from nas_service.datasets.splits import SplitPlan
from nas_service.datasets.store import DatasetStore


@pytest.fixture(scope="module")
def digits():
    return build_dataset("digits", ingest_digits())


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(1e4, 3, (200, 1)), np.full((200, 1), 7.0)], axis=1).astype(np.float32)
    return build_dataset("table", RawData("vector", x, rng.integers(0, 2, 200), ("no", "yes"), {}))


def test_write_and_load(tmp_path, digits):
    store = DatasetStore(tmp_path / "datasets")
    path = store.write(digits)
    assert path.name == digits.fingerprint
    assert sorted(entry.name for entry in path.iterdir()) == [
        "calibrate.npy",
        "dataset.json",
        "split.npy",
        "x.npy",
        "y.npy",
    ]
    loaded = store.load(digits.fingerprint)
    assert isinstance(loaded.x, np.memmap)
    for split in ("train", "calibrate", "search", "select", "test"):
        x, y = loaded.arrays(split)
        assert (x == digits.arrays(split)[0]).all()
        assert len(y) == digits.info["splits"][split]
    assert store.write(digits) == path
    assert [entry.name for entry in store.root.iterdir()] == [digits.fingerprint]


def test_the_fingerprint_depends_on_content_alone(digits):
    raw = ingest_digits()
    assert build_dataset("other-name", raw).fingerprint == digits.fingerprint
    assert build_dataset("digits", raw, SplitPlan(seed=1)).fingerprint != digits.fingerprint
    raw.x[5, 0, 3, 3] ^= 1
    assert build_dataset("digits", raw).fingerprint != digits.fingerprint


def test_normalised_train_has_mean_0_and_deviation_1(digits, table):
    for dataset in (digits, table):
        x = dataset.normalise(dataset.arrays("train")[0])
        assert x.dtype == np.float32
        axes = (0, 2, 3) if x.ndim == 4 else 0
        np.testing.assert_allclose(x.mean(axis=axes), 0, atol=2e-4)
        np.testing.assert_allclose(np.ravel(x.std(axis=axes))[0], 1, atol=1e-3)
    assert table.info["normalisation"]["std"][1] == 1.0  # the constant feature


@pytest.mark.parametrize("name", ["x.npy", "y.npy", "split.npy", "calibrate.npy", "dataset.json"])
def test_damage_is_noticed(tmp_path, digits, name):
    store = DatasetStore(tmp_path)
    path = store.write(digits)
    if name == "dataset.json":
        info = json.loads((path / name).read_text())
        info["normalisation"]["mean"] = [0.0]
        (path / name).write_text(json.dumps(info))
    else:
        data = bytearray((path / name).read_bytes())
        data[-40] ^= 1
        (path / name).write_bytes(data)
    with pytest.raises(DatasetError, match="fingerprint"):
        store.load(digits.fingerprint)


def test_pickled_arrays_and_torn_files_are_refused(tmp_path, digits):
    store = DatasetStore(tmp_path)
    path = store.write(digits)
    np.save(path / "y.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot be read"):
        store.load(digits.fingerprint)
    (path / "y.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DatasetError, match="cannot be read"):
        store.load(digits.fingerprint)


def test_content_is_verified_once_per_process(tmp_path, digits, monkeypatch):
    store = DatasetStore(tmp_path)
    store.write(digits)
    store.load(digits.fingerprint)

    def fail(*_):
        raise AssertionError("verified twice")

    monkeypatch.setattr(store_module, "fingerprint_of", fail)
    assert store.load(digits.fingerprint).num_samples == 1797


def test_writers_at_the_same_time_leave_one_whole_directory(tmp_path, digits):
    store = DatasetStore(tmp_path)
    errors = []

    def write():
        try:
            store.write(digits)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [entry.name for entry in tmp_path.iterdir()] == [digits.fingerprint]


@pytest.mark.parametrize("fingerprint", ["", "..", "../../etc", "A" * 64, "0" * 64, "0" * 64 + "\n"])
def test_load_takes_fingerprints_only(tmp_path, fingerprint):
    with pytest.raises(DatasetError):
        DatasetStore(tmp_path).load(fingerprint)


def test_samples_are_what_was_stored_classes_in_turn(digits, table):
    shown = samples(table, 6, "train")
    rows = [list(map(float, row)) for row in table.x[table.indices("train")]]
    assert all(sample.values in rows and sample.text is None for sample in shown)
    assert [sample.label for sample in samples(digits, 10)] == list(digits.classes)
    with pytest.raises(DatasetError):
        samples(digits, 0)


def test_preview(digits, table):
    image = Image.open(io.BytesIO(preview(digits, 20)))
    assert image.format == "PNG"
    assert np.asarray(image).std() > 20
    assert Image.open(io.BytesIO(preview(table, 10, "test"))).width > 100
    with pytest.raises(DatasetError):
        preview(digits, 0)
    with pytest.raises(DatasetError):
        preview(digits, 10, "holdout")
