"""Exports: complete, checked, and usable where nothing of this project is installed."""

import hashlib
import json
import shutil
import subprocess
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.images import FORMATS, ImageForm, open_image, to_array
from nas_service.datasets.raw import RawData
from nas_service.datasets.store import DatasetStore
from search_spaces.elastic.plain import build_plain
from search_spaces.elastic.resize import at_resolution
from search_spaces.shapes import ImageShape
from tests.unit.export.trained import Trained, importing, train
from workers.evaluate import evaluate
from workers.export import _compare_with_reported, export
from workers.export_documents import preprocess_document
from workers.export_parity import ExportError, check_fresh_process, check_onnx, check_supernet
from workers.training.checkpoint import CheckpointError, write_checkpoint
from workers.training.optimise import named_tensors

FILES = {
    "README.md",
    "architecture.json",
    "classes.json",
    "manifest.json",
    "model.onnx",
    "model.py",
    "model.safetensors",
    "predict.py",
    "preprocess.json",
}
CALIBRATION = {"num_samples": 300, "batch_size": 128}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return train(tmp_path_factory.mktemp("artifacts"))


def payload_of(trained: Trained, export_id: str, **changes) -> dict:
    payload = {
        "export_id": export_id,
        "epoch": 3,
        "space": trained.document,
        "genes": trained.genes(),
        "dataset": trained.fingerprint,
        "weights": {"supernet": trained.supernet},
        "calibration": CALIBRATION,
        "seed": 7,
        "provenance": {"search_id": "sea_1", "latency_is": "measured"},
    }
    return {**payload, **changes}


@pytest.fixture(scope="module")
def reported(trained) -> dict:
    """Metrics of the architecture as the evaluation job reports them."""
    metrics = {}
    for split in ("select", "test"):
        job = {
            "supernet": trained.supernet,
            "space": trained.document,
            "dataset": trained.fingerprint,
            "split": split,
            "calibration": CALIBRATION,
            "trials": [{"id": "t", "genes": trained.genes()}],
        }
        metrics[split] = evaluate(job, trained.context)["results"][0]["metrics"]
    return metrics


@pytest.fixture(scope="module")
def exported(trained, reported) -> tuple[dict, Path]:
    result = export(payload_of(trained, "exp_1", metrics={**reported, "latency_ms": 0.25}), trained.context)
    return result, trained.context.artifacts / result["path"]


def test_every_file_is_there_and_listed_with_its_digest(exported):
    result, folder = exported
    assert result["path"] == "exports/exp_1/3"
    assert {path.name for path in folder.iterdir()} == FILES
    assert {entry["name"] for entry in result["files"]} == FILES
    for entry in result["files"]:
        data = (folder / entry["name"]).read_bytes()
        assert entry["size_bytes"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert not list(folder.parent.glob("*.tmp"))


def test_the_manifest_says_what_it_is_and_where_it_comes_from(trained, exported, reported):
    _, folder = exported
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"] == reported
    assert reported["test"]["accuracy_top1"] > 0.6
    assert manifest["seed"] == 7
    assert manifest["calibration"] == {**CALIBRATION, "num_used": 300}
    macs = trained.space.costs(np.array([trained.genes()], dtype=np.int16))["macs"][0]
    assert (manifest["costs"]["macs"], manifest["costs"]["flops"]) == (macs, 2 * macs)
    assert manifest["dataset"] == {"name": "digits", "fingerprint": trained.fingerprint}
    assert manifest["weights"]["supernet"] == trained.supernet
    assert manifest["architecture_hash"] == trained.space.architecture(np.array(trained.genes())).hash
    assert manifest["parity"]["max_abs_difference_onnx"] < 1e-4
    assert manifest["parity"]["max_abs_difference_fresh_process"] < 1e-6
    assert manifest["parity"]["max_abs_difference_supernet"] < 1e-3
    assert "0.250 ms (measured)" in (folder / "README.md").read_text()


def test_predict_runs_where_this_project_is_not_installed(trained, exported, tmp_path):
    """An environment with the same libraries but without the installed project, in the export's own folder."""
    _, folder = exported
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    libraries = Path(torch.__file__).parents[1]
    own = next((tmp_path / "env" / "lib").iterdir()) / "site-packages"
    needed = (
        "torch",
        "torchgen",
        "functorch",
        "safetensors",
        "numpy",
        "numpy.libs",
        "PIL",
        "pillow.libs",
        "sympy",
        "mpmath",
    )
    for name in (*needed, "typing_extensions.py", "networkx", "jinja2", "markupsafe", "filelock", "fsspec"):
        if (libraries / name).exists():
            (own / name).symlink_to(libraries / name)
    dataset = DatasetStore(trained.context.datasets).load(trained.fingerprint)
    x, y = dataset.arrays("test")
    paths = []
    for i in range(40):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(x[i, 0]).save(paths[-1])
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    done = subprocess.run(
        [python, "-B", copy / "predict.py", *paths, "--top", "2"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    predicted = [line.split(": ")[1].split(" ")[0] for line in done.stdout.splitlines()]
    module = build_plain(trained.space.resolve(np.array(trained.genes())))
    module.load_state_dict(load_file(folder / "model.safetensors"))
    with torch.inference_mode():
        expected = module.eval()(torch.from_numpy(dataset.normalise(x[:40]))).argmax(dim=1)
    assert predicted == [dataset.classes[i] for i in expected.tolist()]
    assert (expected.numpy() == y[:40]).mean() > 0.5


def test_onnx_runtime_gives_the_same_accuracy_with_any_batch_size(trained, exported):
    result, folder = exported
    dataset = DatasetStore(trained.context.datasets).load(trained.fingerprint)
    x, y = dataset.arrays("test")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    x = dataset.normalise(x)
    whole = session.run(["output"], {"input": x})[0]
    for size in (1, 3):
        np.testing.assert_allclose(session.run(["output"], {"input": x[:size]})[0], whole[:size], atol=1e-5)
    assert (whole.argmax(axis=1) == y).sum() == result["metrics"]["test"]["num_correct"]


def test_a_second_attempt_of_an_epoch_changes_nothing(trained, exported, reported):
    result, folder = exported
    before = (folder / "manifest.json").stat().st_mtime_ns
    again = export(payload_of(trained, "exp_1", metrics=reported), trained.context)
    assert again == result
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_a_network_trained_by_itself(trained):
    artifacts = trained.context.artifacts
    module = build_plain(trained.space.resolve(np.array(trained.genes())), seed=1)
    written = write_checkpoint(artifacts / "networks" / "net_1", "final.1", {"model": named_tensors(module)}, {})
    reference = {"path": str(written.path.relative_to(artifacts)), "sha256": written.sha256}
    payload = payload_of(trained, "exp_2", weights={"network": reference})
    result = export(payload, trained.context)
    assert "max_abs_difference_supernet" not in result["parity"]
    state = load_file(artifacts / result["path"] / "model.safetensors")
    for name, parameter in module.named_parameters():
        assert torch.equal(state[name], parameter)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"metrics": {"test": {"accuracy_top1": 0.2}}}, ExportError),
        ({"genes": [99] * 7}, ExportError),
        ({"weights": {}}, ValueError),
        ({"export_id": "../outside"}, ValueError),
        (
            {"weights": {"supernet": {"id": "x", "checkpoint": {"path": "supernets/none", "sha256": "0"}}}},
            CheckpointError,
        ),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(trained, changes, error):
    with pytest.raises(error):
        export(payload_of(trained, **{"export_id": "exp_3", **changes}), trained.context)
    folder = trained.context.artifacts / "exports" / "exp_3"
    assert not folder.exists() or not list(folder.iterdir())


def test_files_that_compute_something_else_are_noticed(exported, tmp_path):
    _, folder = exported
    copy = shutil.copytree(folder, tmp_path / "copy")
    x = torch.randn(4, 1, 8, 8)
    wrong = torch.zeros(4, 10) + 5
    with pytest.raises(ExportError, match="differs"):
        check_onnx(copy / "model.onnx", x, wrong)
    with pytest.raises(ExportError, match="differs"):
        check_fresh_process(copy, x, wrong)
    with pytest.raises(ExportError, match="shape"):
        check_onnx(copy / "model.onnx", x, wrong[:, :9])
    for found in (wrong + 0.1, torch.full_like(wrong, torch.nan)):
        with pytest.raises(ExportError, match="differs"):
            check_supernet(found, wrong)
    code = (copy / "model.py").read_text()
    (copy / "model.py").write_text(code.replace("import torch\n", "import torch\nimport search_spaces\n", 1))
    with pytest.raises(ExportError, match=r"by itself: model\.py imported search_spaces"):
        check_fresh_process(copy, x, wrong)


@pytest.mark.parametrize(("num_samples", "most"), [(100, 0.01), (10_000, 0.005)])
def test_a_score_may_differ_from_the_reported_one_by_rounding_alone(num_samples, most):
    """By one sample of few, by half a percent of many."""
    found = {"test": {"accuracy_top1": 0.8, "num_samples": num_samples}}
    for difference in (0.0, 0.99 * most, -0.99 * most):
        _compare_with_reported(found, {"test": {"accuracy_top1": 0.8 + difference}})
    for difference in (2.0 * most, -2.0 * most):
        with pytest.raises(ExportError, match="was reported"):
            _compare_with_reported(found, {"test": {"accuracy_top1": 0.8 + difference}})


def test_height_and_width_are_told_apart(trained, exported, tmp_path, monkeypatch):
    """What is written of images that are not square, and how predict.py resizes them to what a network reads."""
    x = np.random.default_rng(0).integers(0, 256, (40, 1, 6, 9), dtype=np.uint8)
    dataset = build_dataset("wide", RawData("image", x, np.arange(40) % 2, ("a", "b"), {"format": "npz"}))
    network = replace(trained.space.resolve(np.array(trained.genes())), input_shape=ImageShape(1, 10, 14))
    preprocess = preprocess_document(dataset, network)
    sizes = [preprocess[name] for name in ("height", "width", "network_height", "network_width")]
    assert sizes == [6, 9, 10, 14]
    copy = shutil.copytree(exported[1], tmp_path / "copy")
    (copy / "preprocess.json").write_text(json.dumps(preprocess))
    with importing(copy, monkeypatch) as predict:
        found = predict.to_input(x[:5])
    torch.testing.assert_close(found, at_resolution(torch.from_numpy(dataset.normalise(x[:5])), network.input_shape))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "I;16", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_predict_reads_images_as_the_data_set_did(exported, tmp_path, mode, channels, monkeypatch):
    """predict.py has its own copy of the reading of images; both must give the same pixels."""
    _, folder = exported
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (23, 31), dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (23, 31, 4), dtype=np.uint8), "RGBA").convert(mode)
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    image.save(path)
    assert path.suffix[1:].upper() in FORMATS
    for fit in ("crop", "pad", "stretch"):
        form = ImageForm(10, 12, channels, fit)
        expected = to_array(open_image(path.read_bytes()), form)
        copy = shutil.copytree(folder, tmp_path / fit)
        preprocess = json.loads((copy / "preprocess.json").read_text())
        preprocess |= {"channels": channels, "height": 10, "width": 12, "fit": fit}
        (copy / "preprocess.json").write_text(json.dumps(preprocess))
        with importing(copy, monkeypatch) as predict:
            assert (predict.read_image(str(path)) == expected).all()
