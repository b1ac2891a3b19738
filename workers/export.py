"""Job `export`: writes one architecture with its weights as files that need nothing of this project."""

import inspect
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file
from torch import Tensor

from nas_service.datasets import tokenizer
from nas_service.files import file_sha256, sync
from search_spaces.elastic.calibrate import calibrated, recalibrate
from search_spaces.elastic.codegen import plain_source
from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.elastic.resize import at_resolution
from search_spaces.network import Network
from search_spaces.shapes import elements
from workers.context import WorkContext
from workers.export_documents import architecture_document, preprocess_document, readme
from workers.export_parity import ExportError, check_fresh_process, check_onnx, check_supernet, tolerances
from workers.measure.onnx_file import INPUT_NAME, OPSET, OUTPUT_NAME, write_onnx
from workers.training.checkpoint import open_checkpoint
from workers.training.data import DeviceData
from workers.training.environment import prepare
from workers.training.optimise import load_tensors
from workers.training.scoring import Calibration, as_read, for_inference, samples_at_once, score_as_is
from workers.warm import warm_data, warm_space, warm_supernet

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_EXPORT_ID = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
_NUM_PARITY_SAMPLES = 64
_ACCURACY_TOLERANCE = 0.005
# Outputs that are compared: language models have as many as tokens of the vocabulary at each position.
_MAX_PARITY_OUTPUTS = 1 << 22
_LIBRARIES = ("torch", "onnx", "onnxruntime", "safetensors", "numpy")


class Weights(BaseModel):
    """Where the weights come from: a supernet {id, checkpoint: {path, sha256}}, or a network's own checkpoint."""

    model_config = ConfigDict(extra="forbid")

    supernet: dict[str, Any] | None = None
    network: dict[str, Any] | None = Field(default=None, description="{path, sha256}")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Weights":
        if (self.supernet is None) == (self.network is None):
            raise ValueError("weights are either of a supernet or of a network")
        return self


class ExportJob(BaseModel):
    """Payload of the job. `metrics` are those reported before ({split: {accuracy_top1, ...}, latency_ms, ...})."""

    export_id: str
    epoch: int = Field(ge=0)
    space: dict[str, Any]
    genes: list[int]
    dataset: str
    weights: Weights
    metrics: dict[str, Any] = {}
    seed: int | None = None
    provenance: dict[str, Any] = {}
    calibration: Calibration = Calibration()


def export(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """Write `exports/EXPORT_ID/EPOCH` and return {"path", "files": [{name, size_bytes, sha256}], "parity", "metrics"}.

    The batch-norm statistics are those of the calibrate split, and the written network itself is scored on select and
    test. Raises ExportError when these scores are not the reported ones, or when model.onnx or model.py computes
    something else; CheckpointError when the weights are missing or damaged. A complete directory of the same epoch is
    returned as it is.
    """
    job = ExportJob.model_validate(payload)
    if not _EXPORT_ID.match(job.export_id):
        raise ValueError(f"{job.export_id[:100]!r} is no export id")
    prepare(context)
    relative = f"exports/{job.export_id}/{job.epoch}"
    final = context.resolve(relative)
    if final.is_dir():
        return _result(relative, final)
    temporary = final.with_name(f"{job.epoch}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_all(job, temporary, context)
        for path in (*temporary.iterdir(), temporary):
            sync(path)
        temporary.rename(final)
        sync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _result(relative, final)


def _write_all(job: ExportJob, folder: Path, context: WorkContext) -> None:
    """Every file of the export, the manifest last."""
    space = warm_space(job.space)
    genes = np.asarray(job.genes, dtype=np.int16)
    if genes.shape != (len(space.genes),) or not space.valid(genes[None])[0]:
        raise ExportError("the genes are no architecture of this space")
    network = space.resolve(genes)
    data = warm_data(job.dataset, context)
    _progress(context, "weights", 0)
    module = _load(job, network, genes, context).to(data.device)
    for_inference(module)  # the memory layout of the evaluation, so that the scores have the same bits
    calibrate = data.batches("calibrate", job.calibration.batch_size, job.calibration.num_samples, network.task)
    recalibrate(module, (x for x, _ in as_read(calibrate, network)))
    metrics = {split: score_as_is(module, data.scored(split, network.task)) for split in ("select", "test")}
    _compare_with_reported(metrics, job.metrics)
    probe = _probe(data, network)
    with torch.no_grad():
        parity: dict[str, Any] = {"num_samples": len(probe), "tolerances": tolerances()}
        if job.weights.supernet is not None:
            parity["max_abs_difference_supernet"] = _supernet_parity(
                job, genes, probe, module(probe), (x for x, _ in as_read(calibrate, network)), context
            )
        module, probe = module.cpu().to(memory_format=torch.contiguous_format), probe.cpu()  # type: ignore[call-overload]
        expected = module(probe)
    _progress(context, "files", 1)
    _write_network(folder, module, network, data, probe)
    architecture = architecture_document(space, genes, network)
    _write_json(folder / "architecture.json", architecture)
    _progress(context, "checks", 2)
    parity["max_abs_difference_onnx"] = check_onnx(folder / "model.onnx", probe, expected)
    parity["max_abs_difference_fresh_process"] = check_fresh_process(folder, probe, expected)
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "export_id": job.export_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture_hash": architecture["hash"],
        "space_id": space.id,
        "space_name": space.name,
        "dataset": {"name": data.dataset.name, "fingerprint": data.dataset.fingerprint},
        "weights": job.weights.model_dump(exclude_none=True),
        "seed": job.seed,
        "metrics": metrics,
        "reported_metrics": job.metrics,
        "costs": architecture["costs"],
        "calibration": {**asdict(job.calibration), "num_used": sum(len(x) for x, _ in calibrate)},
        "parity": parity,
        "onnx": {"opset": OPSET, "input": INPUT_NAME, "output": OUTPUT_NAME, "batch": "dynamic"},
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "scored_on": context.device,
        "provenance": job.provenance,
    }
    (folder / "README.md").write_text(readme(manifest, architecture, data.dataset), encoding="utf-8")
    manifest["files"] = [_describe(path) for path in sorted(folder.iterdir())]
    _write_json(folder / MANIFEST, manifest)
    _progress(context, "done", 3)


def _load(job: ExportJob, network: Network, genes: np.ndarray, context: WorkContext) -> PlainNetwork:
    """The architecture's plain network with the job's weights."""
    if job.weights.supernet is not None:
        return warm_supernet(job.weights.supernet, job.space, job.dataset, context).supernet.extract(genes)
    assert job.weights.network is not None  # checked when the payload was parsed
    reference = job.weights.network
    module = build_plain(network)
    load_tensors(module, open_checkpoint(context.resolve(reference["path"]), reference["sha256"]).weights())
    return module.eval()


def _probe(data: DeviceData, network: Network) -> Tensor:
    """Samples of select on which the written network is compared, as it reads them: as many as memory allows."""
    num_outputs = int(elements(network.nodes[-1].out_shape))
    most = min(_NUM_PARITY_SAMPLES, _MAX_PARITY_OUTPUTS // num_outputs, samples_at_once(network))
    x, _ = data.scored("select", network.task)[0]
    return at_resolution(x[: max(2, most)], network.input_shape)


def _compare_with_reported(metrics: Mapping[str, Mapping[str, Any]], reported: Mapping[str, Any]) -> None:
    """The network that is written must be the one that was reported on: equal accuracy, but for a rounded sample."""
    for split, found in metrics.items():
        before = reported.get(split)
        if not isinstance(before, Mapping) or before.get("accuracy_top1") is None:
            continue
        difference = abs(found["accuracy_top1"] - before["accuracy_top1"])
        if difference > max(_ACCURACY_TOLERANCE, 1.5 / found["num_samples"]):
            raise ExportError(
                f"accuracy on {split} is {found['accuracy_top1']:.4f}, but {before['accuracy_top1']:.4f} was reported"
            )


def _supernet_parity(
    job: ExportJob,
    genes: np.ndarray,
    probe: Tensor,
    expected: Tensor,
    calibrate: Iterable[Tensor],
    context: WorkContext,
) -> float:
    """Difference to the supernet itself with the architecture active and calibrated; leaves the supernet untouched."""
    assert job.weights.supernet is not None
    supernet = warm_supernet(job.weights.supernet, job.space, job.dataset, context).supernet
    with supernet.active(genes), calibrated(supernet, calibrate):
        return check_supernet(supernet(probe), expected)


def _write_network(folder: Path, module: PlainNetwork, network: Network, data: DeviceData, probe: Tensor) -> None:
    state = {name: value.detach().contiguous() for name, value in module.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.py").write_text(plain_source(network), encoding="utf-8")
    kind = data.dataset.kind if network.task.endswith("classification") else network.task
    template = resources.files("workers.export_files") / f"predict_{kind}.py"
    (folder / "predict.py").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    if data.dataset.kind == "text":
        (folder / "tokenizer.py").write_text(inspect.getsource(tokenizer), encoding="utf-8")
    _write_json(folder / "preprocess.json", preprocess_document(data.dataset, network))
    if network.task.endswith("classification"):
        _write_json(folder / "classes.json", list(data.dataset.classes))
    write_onnx(module, probe[:2].clone(), folder / "model.onnx")


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _describe(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size_bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _result(relative: str, folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = [*manifest["files"], _describe(folder / MANIFEST)]
    return {"path": relative, "files": files, **{k: manifest[k] for k in ("parity", "metrics", "architecture_hash")}}


def _progress(context: WorkContext, phase: str, step: int) -> None:
    context.report({"type": "progress", "phase": phase, "step": step, "num_steps": 3})
