"""The readable files of an export: architecture.json, preprocess.json and README.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_service.datasets.dataset import Dataset
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, TokensShape
from search_spaces.space import SearchSpace
from workers.measure.onnx_file import INPUT_NAME, OPSET, OUTPUT_NAME


def architecture_document(space: SearchSpace, genes: np.ndarray, network: Network) -> dict[str, Any]:
    """Content of architecture.json: the choices, what they cost and the layers they stand for."""
    architecture = space.architecture(genes)
    cost = network.cost()
    return {
        "hash": architecture.hash,
        "space_id": space.id,
        "space_name": space.name,
        "choices": dict(architecture.choices),
        "costs": {
            "macs": cost.macs,
            "flops": 2 * cost.macs,
            "params": cost.params,
            "activations": cost.activations,
            "peak_activation_bytes": cost.peak_activation_bytes,
        },
        "network": network.to_json(),
    }


def preprocess_document(dataset: Dataset, network: Network) -> dict[str, Any]:
    """Content of preprocess.json: how a new example becomes the network's input."""
    rule = {"kind": dataset.kind, **dataset.info["normalisation"]}
    shape = network.input_shape
    if dataset.tokenizer is not None:
        if not isinstance(shape, TokensShape):
            raise ValueError(f"the network reads {shape}, the data set holds text")
        return {**rule, "tokenizer": {**dataset.tokenizer.to_json(), "length": int(shape.length)}}
    if dataset.kind != "image":
        features = dataset.info["source"].get("features")
        return {**rule, "num_features": dataset.sample_shape[0], **({"features": features} if features else {})}
    channels, height, width = dataset.sample_shape
    if not isinstance(shape, ImageShape) or shape.channels != channels:
        raise ValueError(f"the network reads {shape}, the data set holds images of {channels} channels")
    resize = dataset.info["resize"]
    return {
        **rule,
        "channels": channels,
        "height": height,
        "width": width,
        "fit": resize.get("fit", "crop"),
        "resample": resize.get("resample", "bilinear"),
        "network_height": shape.height,
        "network_width": shape.width,
        "network_resample": "bicubic",
    }


@dataclass(frozen=True)
class _Use:
    """How a reader uses a network of some kind: what it does, and a line of shell and of Python for it."""

    does: str
    libraries: str
    command: str
    batch: str
    what: str
    output: str = "logits"


_USES = {
    "image": _Use("classifies images", "torch safetensors numpy pillow", "image.png --top 3",
                  "images", "uint8 (n, channels, height, width)"),
    "vector": _Use("classifies rows of numbers", "torch safetensors numpy", "rows.csv --top 3",
                   "rows", "(n, features)"),
    "text": _Use("classifies text", "torch safetensors", "'some text' --top 3", "texts", "a list of str"),
    "causal_lm": _Use("continues text", "torch safetensors", "'the beginning' --tokens 100",
                      "texts", "a list of str", "logits of the next token at each position"),
    "masked_lm": _Use("fills in masked text", "torch safetensors", "'some [MASK] text' --top 3",
                      "texts", "a list of str", "logits of the token at each position"),
}  # fmt: skip


def readme(manifest: Mapping[str, Any], architecture: Mapping[str, Any], dataset: Dataset) -> str:
    """Content of README.md: what this is, how good it is, how to use it."""
    task = architecture["network"]["task"]
    use = _USES[dataset.kind if task.endswith("classification") else task]
    into = f" into {len(dataset.classes)} classes" if task.endswith("classification") else ""
    already = "as `tokenizer.py` encodes text" if dataset.kind == "text" else "normalised as `preprocess.json` says"
    lines = [
        f"# {architecture['space_name']}: {architecture['hash']}",
        "",
        f"A network that {use.does}{into}, found and trained on the data set `{dataset.name}`.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _facts(manifest, architecture)),
        "",
        "## Use",
        "",
        "```sh",
        f"pip install {use.libraries}",
        f"python predict.py {use.command}",
        "```",
        "",
        "In Python:",
        "",
        "```python",
        "from predict import load_model, to_input",
        "",
        "model = load_model()",
        f"outputs = model(to_input({use.batch}))  # {use.batch}: {use.what}; outputs: {use.output}",
        "```",
        "",
        f"In ONNX Runtime: `model.onnx`, opset {OPSET}, input `{INPUT_NAME}` (any batch size, {already}),",
        f"output `{OUTPUT_NAME}` ({use.output}).",
        "",
        "## Files",
        "",
        "| file | content |",
        "|---|---|",
        "| model.safetensors | weights and batch-norm statistics |",
        "| model.py | the network as plain torch layers |",
        "| predict.py | reading, preparation and prediction |",
        *(["| tokenizer.py | text to token ids and back |"] if dataset.kind == "text" else []),
        "| preprocess.json | how a new example is prepared: size and normalisation, or tokens |",
        *(["| classes.json | class names in the order of the outputs |"] if into else []),
        "| model.onnx | the same network for ONNX Runtime and others |",
        "| architecture.json | the choices, costs and layers |",
        "| manifest.json | sha256 of each file, metrics, provenance, parity report |",
        "",
        "Check the files with `manifest.json`: it holds the sha256 of each. Nothing here is a pickle.",
        "",
    ]
    return "\n".join(lines)


def _facts(manifest: Mapping[str, Any], architecture: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for split, metrics in manifest["metrics"].items():
        facts.append(
            (
                f"accuracy on {split}",
                f"{metrics['accuracy_top1']:.4f} ({metrics['num_correct']}/{metrics['num_samples']})",
            )
        )
        if "perplexity" in metrics:
            facts.append((f"perplexity on {split}", f"{metrics['perplexity']:.3f}"))
    costs = architecture["costs"]
    facts += [("MACs", f"{costs['macs']:,}"), ("parameters", f"{costs['params']:,}")]
    latency = manifest["reported_metrics"].get("latency_ms")
    if isinstance(latency, int | float):
        origin = manifest["provenance"].get("latency_is")
        facts.append(("latency", f"{latency:.3f} ms" + (f" ({origin})" if origin else "")))
    return facts
