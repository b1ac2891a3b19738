"""Job `fit_latency_estimator`: measures a few dozen architectures and fits the additive latency model to them."""

from typing import Any

import numpy as np

from nas_service.domain.latency_estimator import FEATURES, VERSION, estimator_features
from nas_service.methods.runtimes import DeviceSettings, MeasureProtocol
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace
from workers.context import WorkContext
from workers.measure.fit import fit_best, held_out_errors
from workers.measure.latency import measure_genes, spread_over_costs

DEFAULT_NUM_ARCHITECTURES = 32
MIN_NUM_ARCHITECTURES = 8
_SCALE = "search"


def fit_latency_estimator(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """Fit an estimator of latency on the device of the payload.

    payload: {space (document), device, num_architectures? (32), protocol?, seed?, supernet?}. Returns {"estimator":
    {version, space_id, device, features, scale, intercept_ms, coefficients_ms, floor_ms, strength, fingerprint_id},
    "held_out": {mae_ms, mape, spearman, n, method}, "measurements": [{genes, latency_ms, p10_ms, p90_ms, ...,
    predicted_ms}], and the facts of the measurement as `measure` gives them}.
    """
    space = SearchSpace.from_document(parse_document(payload["space"]))
    device = DeviceSettings.model_validate(payload["device"])
    protocol = MeasureProtocol.model_validate(payload.get("protocol") or {})
    seed = int(payload.get("seed", 0))
    count = int(payload.get("num_architectures", DEFAULT_NUM_ARCHITECTURES))
    if count < MIN_NUM_ARCHITECTURES:
        raise ValueError(f"num_architectures is {count}, at least {MIN_NUM_ARCHITECTURES} are needed")
    genes = spread_over_costs(space, count, np.random.default_rng(seed))
    measured = measure_genes(space, genes, genes[len(genes) // 2], device, protocol, context, payload.get("supernet"))
    latencies = measured.pop("latencies")
    latency_ms = np.array([latency["latency_ms"] for latency in latencies])
    features = {kind: estimator_features(space, genes, kind, _SCALE) for kind in FEATURES}
    fit = fit_best(features, latency_ms, seed)
    predicted = fit.predict(features[fit.kind])
    return {
        "estimator": {
            "version": VERSION,
            "space_id": space.id,
            "device": device.model_dump(),
            "features": fit.kind,
            "scale": _SCALE,
            "intercept_ms": fit.intercept_ms,
            "coefficients_ms": fit.coefficients_ms.tolist(),
            "floor_ms": fit.floor_ms,
            "strength": fit.strength,
            "fingerprint_id": measured["fingerprint"]["id"],
        },
        "held_out": held_out_errors(features, latency_ms, seed),
        "measurements": [
            {"genes": row.tolist(), **latency, "predicted_ms": float(value)}
            for row, latency, value in zip(genes, latencies, predicted, strict=True)
        ],
        **measured,
    }
