"""Jobs measure and fit_latency_estimator on real networks of a real space."""

import dataclasses

import numpy as np
import pytest

from nas_service.domain.latency_estimator import FEATURES, estimator_features, predict_latency_ms
from search_spaces.space import SearchSpace
from tests.unit.export.trained import Trained, train
from workers.measure.estimator import fit_latency_estimator
from workers.measure.fit import held_out_errors
from workers.measure.latency import measure, spread_over_costs
from workers.measure.session import MeasureStopped

QUICK = {"num_rounds": 2, "max_repeats": 0, "num_processes": 1, "warmup_s": 0.002, "min_duration_s": 0.001}

STRIDE_LAST = {
    "language_version": 1,
    "name": "stride-last",
    "task": {"kind": "image_classification", "classes": 10},
    "input": {"channels": 1, "resolution": 8},
    "let": {"stride": {"one_of": [1, 2]}, "width": {"int": [1, 12]}},
    "network": [
        {
            "block": "conv_bn_act",
            "name": "stem",
            "out": "=width",
            "kernel": 3,
            "stride": "=stride",
            "activation": "relu",
        },
        {"block": "image_head", "name": "head", "out": 10},
    ],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return train(tmp_path_factory.mktemp("artifacts"), steps=1)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_measure(trained, runtime):
    space = trained.space
    reports = []
    context = dataclasses.replace(trained.context, report=reports.append)
    payload = {
        "space": trained.document,
        "device": {"name": "here", "runtime": runtime},
        "architectures": [
            {"id": "small", "genes": space.smallest().tolist()},
            {"id": "large", "genes": space.largest().tolist()},
        ],
        "protocol": {**QUICK, "num_processes": 2},
        "supernet": trained.supernet,
        "reference_genes": space.largest().tolist(),
    }
    result = measure(payload, context)
    small, large = result["measurements"]
    reference = result["reference"]["latency_ms"]
    assert abs(np.log(reference / large["latency_ms"])) < abs(np.log(reference / small["latency_ms"]))
    assert (small["id"], large["id"]) == ("small", "large")
    assert large["latency_ms"] > small["latency_ms"] > 0
    assert large["macs"] == space.costs(space.largest()[None])["macs"][0]
    assert result["device"]["runtime"] == runtime
    assert result["protocol"]["num_rounds"] == 2
    assert {report["phase"] for report in reports} == {"prepare", "measure"}


def test_measuring_stops_when_asked(trained):
    context = dataclasses.replace(trained.context, should_stop=lambda: True)
    architectures = [{"id": "a", "genes": trained.space.largest().tolist()}]
    payload = {
        "space": trained.document,
        "device": {},
        "architectures": architectures,
        "protocol": {"min_duration_s": 60},
    }
    with pytest.raises(MeasureStopped):
        measure(payload, context)


def test_estimator_predicts_what_was_measured(trained):
    payload = {"space": trained.document, "device": {}, "num_architectures": 24, "protocol": QUICK}
    result = fit_latency_estimator(payload, trained.context)
    measured = result["measurements"]
    assert len(measured) == 24
    genes = np.array([entry["genes"] for entry in measured], dtype=np.int16)
    predicted = predict_latency_ms(result["estimator"], trained.space, genes)
    np.testing.assert_allclose(predicted, [entry["predicted_ms"] for entry in measured], rtol=1e-9)
    # How good a fit is, test_fit.py asks of latencies that are known; these are as noisy as the machine is busy.
    latency_ms = np.array([entry["latency_ms"] for entry in measured])
    features = {kind: estimator_features(trained.space, genes, kind, "search") for kind in FEATURES}
    assert result["held_out"] == held_out_errors(features, latency_ms, 0)
    assert result["held_out"]["n"] == 24
    assert (predicted > 0).all()


def test_an_estimator_serves_its_own_space_and_version(trained):
    space = trained.space
    estimator = {
        "version": 1,
        "space_id": space.id,
        "features": "costs",
        "scale": "search",
        "intercept_ms": 1.0,
        "coefficients_ms": [2.0, 0.0, 0.0, 0.0],
        "floor_ms": 0.0,
    }
    genes = space.sample(5, np.random.default_rng(0))
    expected = 1.0 + 2.0 * space.costs(genes)["macs"] / 1e6
    np.testing.assert_allclose(predict_latency_ms(estimator, space, genes), expected)
    assert predict_latency_ms({**estimator, "floor_ms": 50.0}, space, genes).tolist() == [50.0] * 5
    for change in ({"version": 2}, {"space_id": "spc_other"}, {"coefficients_ms": [1.0]}, {"features": "magic"}):
        with pytest.raises(ValueError, match=r"estimator|features"):
            predict_latency_ms({**estimator, **change}, space, genes)


def test_features_have_one_row_for_each_architecture(trained):
    genes = trained.space.sample(7, np.random.default_rng(0))
    widths = {kind: estimator_features(trained.space, genes, kind).shape for kind in FEATURES}
    assert widths["one_hot_and_costs"] == (7, widths["one_hot"][1] + widths["costs"][1])


def test_architectures_are_spread_over_the_costs(trained):
    space = trained.space
    chosen = spread_over_costs(space, 20, np.random.default_rng(0))
    macs = space.costs(chosen)["macs"]
    assert len(np.unique(chosen, axis=0)) == 20
    assert (np.diff(macs) >= 0).all()
    assert (macs[0], macs[-1]) == tuple(space.costs(np.stack([space.smallest(), space.largest()]))["macs"])
    gaps = np.diff(np.log(macs))
    assert gaps.max() < 0.5 * np.log(macs[-1] / macs[0])
    again = spread_over_costs(space, 20, np.random.default_rng(0))
    assert (again == chosen).all()
    unordered = SearchSpace.from_document(STRIDE_LAST)  # its largest architecture is not that with the most MACs
    chosen = spread_over_costs(unordered, 6, np.random.default_rng(0)).tolist()
    assert {tuple(unordered.smallest()), tuple(unordered.largest())} <= set(map(tuple, chosen))
    assert len(spread_over_costs(space, 10_000, np.random.default_rng(0), pool_factor=1)) <= space.cardinality
