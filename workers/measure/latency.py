"""Job `measure`: the latency of extracted networks on this machine."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.methods.runtimes import DeviceSettings, MeasureProtocol
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace
from workers.context import WorkContext
from workers.measure.networks import load_supernet, plain_network, write_folder
from workers.measure.session import measure_folders


def measure(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """Measure the architectures of a payload.

    payload: {space (document), device (DeviceSettings), architectures: [{id, genes}], protocol? (MeasureProtocol),
    reference_genes? (default: the smallest architecture), supernet? {id, checkpoint}}. Returns {"measurements": [{id,
    latency_ms, p10_ms, p90_ms, num_samples, process_medians_ms, macs}], "reference", "drift", "drift_exceeded",
    "num_spoilt_rounds", "load_average", "fingerprint", "facts", "device", "protocol", "measure_s"}.
    Raises MeasureError, MeasureStopped, SpaceError.
    """
    space = SearchSpace.from_document(parse_document(payload["space"]))
    device = DeviceSettings.model_validate(payload["device"])
    protocol = MeasureProtocol.model_validate(payload.get("protocol") or {})
    wanted = payload["architectures"]
    genes = np.asarray([entry["genes"] for entry in wanted], dtype=np.int16).reshape(len(wanted), len(space.genes))
    reference = np.asarray(payload.get("reference_genes") or space.smallest(), dtype=np.int16)
    result = measure_genes(space, genes, reference, device, protocol, context, payload.get("supernet"))
    macs = space.costs(genes)["macs"].tolist()
    latencies = result.pop("latencies")
    return {
        "measurements": [
            {"id": entry["id"], **latency, "macs": count}
            for entry, latency, count in zip(wanted, latencies, macs, strict=True)
        ],
        **result,
    }


def measure_genes(
    space: SearchSpace,
    genes: np.ndarray,
    reference: np.ndarray,
    device: DeviceSettings,
    protocol: MeasureProtocol,
    context: WorkContext,
    supernet: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure architectures, genes (n, G), against a reference (G,); as `measure_folders`, plus the settings used."""
    start = time.monotonic()
    seed = protocol.seed % 2**31
    shared = None if supernet is None else load_supernet(space, supernet, context)
    with tempfile.TemporaryDirectory(prefix="nas-measure-") as name:
        scratch = Path(name)
        folders = []
        for i, row in enumerate([*genes, reference]):
            network = space.resolve(row)
            folders.append(scratch / f"network-{i}")
            write_folder(folders[-1], plain_network(network, row, shared, seed), network, device.runtime, seed)
            _report(context, "prepare", i + 1, len(genes) + 1)
        result = measure_folders(
            folders[:-1],
            folders[-1],
            device,
            protocol,
            scratch,
            context.should_stop,
            lambda done, total: _report(context, "measure", done, total),
        )
    return {
        **result,
        "device": device.model_dump(),
        "protocol": protocol.model_dump(),
        "measure_s": time.monotonic() - start,
    }


def spread_over_costs(space: SearchSpace, n: int, rng: np.random.Generator, pool_factor: int = 40) -> np.ndarray:
    """Up to n distinct architectures across the range of MACs, (m, G), ascending.

    Half are quantiles of a uniform sample, where most architectures are; half are evenly spaced in log MACs, where a
    search will look too. The smallest and the largest are always among them.
    """
    ends: Sequence[np.ndarray] = (space.smallest(), space.largest())
    pool = np.unique(np.concatenate([np.stack(ends), space.sample(pool_factor * n, rng)]), axis=0)
    macs = space.costs(pool)["macs"].astype(np.float64)
    pool, macs = pool[np.argsort(macs, kind="stable")], np.sort(macs)
    if len(pool) <= n:
        return pool
    chosen = {int(np.flatnonzero((pool == end).all(axis=1))[0]) for end in ends}
    by_rank = np.linspace(0, len(pool) - 1, max(2, n // 2)).round().astype(int)
    by_cost = np.searchsorted(macs, np.geomspace(max(macs[0], 1.0), max(macs[-1], 1.0), n))
    for i in [*by_rank.tolist(), *rng.permutation(by_cost).tolist(), *rng.permutation(len(pool)).tolist()]:
        if len(chosen) >= n:
            break
        chosen.add(min(int(i), len(pool) - 1))
    return pool[sorted(chosen)]


def _report(context: WorkContext, phase: str, done: int, total: int) -> None:
    context.report({"type": "progress", "phase": phase, "step": done, "num_steps": total})
