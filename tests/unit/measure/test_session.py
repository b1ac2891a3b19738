"""Measuring in fresh processes, with ONNX Runtime on real files."""

import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from nas_service.methods.runtimes import RUNTIMES, DeviceSettings, MeasureProtocol
from workers.measure.machine import machine_fingerprint
from workers.measure.onnx_file import write_onnx
from workers.measure.process import RUNNERS
from workers.measure.session import MeasureError, MeasureStopped, measure_folders, summarise

ONNX = DeviceSettings(name="here", runtime="onnxruntime")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small and a large network as ONNX files."""
    root = tmp_path_factory.mktemp("models")
    found = []
    for width in (4, 256):
        folder = root / str(width)
        folder.mkdir()
        net = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        write_onnx(net, torch.zeros(2, 1, 12, 12), folder / "model.onnx")
        found.append(folder)
    return found


def measure(folders, tmp_path, device=ONNX, should_stop=lambda: False, **protocol):
    steps = []
    result = measure_folders(
        folders,
        folders[0],
        device,
        MeasureProtocol(**{"num_rounds": 2, "max_repeats": 1, **protocol}),
        tmp_path,
        should_stop,
        lambda done, total: steps.append((done, total)),
    )
    return result, steps


def test_the_larger_network_is_slower_and_everything_is_on_record(folders, tmp_path):
    result, steps = measure(folders, tmp_path)
    small, large = result["latencies"]
    assert small["p10_ms"] <= small["latency_ms"] <= small["p90_ms"]
    assert large["latency_ms"] > 2 * small["latency_ms"]
    assert small["num_samples"] >= 2 * 2 * 5
    assert len(small["process_medians_ms"]) == 2
    assert steps == [(1, 2), (2, 2)]
    assert result["facts"]["execution_provider"] == "CPUExecutionProvider"
    assert result["fingerprint"] == machine_fingerprint()
    assert result["fingerprint"]["num_cores"] >= 1
    assert result["drift"] >= 0
    assert result["drift_exceeded"] == (result["drift"] > MeasureProtocol().max_drift)


def test_a_drift_that_was_never_overcome_is_said(folders, tmp_path):
    """Every call takes another time than the one before, so a bound of nothing is always exceeded."""
    result, _ = measure(folders[:1], tmp_path, max_drift=1e-9, num_rounds=1, num_processes=1, enough_s=0.001)
    assert result["drift_exceeded"]
    assert result["num_spoilt_rounds"] == 2


def test_registries_agree():
    assert RUNNERS.keys() == RUNTIMES.keys()


def test_onnx_runtime_is_measured_without_torch(folders, tmp_path):
    modules = "workers.measure.process, workers.measure.onnxruntime_runner"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_failing_process_says_why(folders, tmp_path):
    with pytest.raises(MeasureError, match=r"model\.onnx"):
        measure([tmp_path / "missing"], tmp_path)


def test_a_measurement_stops_when_asked_and_at_its_limit(folders, tmp_path):
    start = time.monotonic()
    with pytest.raises(MeasureStopped):
        measure(folders, tmp_path, should_stop=lambda: True, min_duration_s=60)
    with pytest.raises(MeasureError, match="time limit"):
        measure(folders, tmp_path, time_limit_s=0.5, min_duration_s=60)
    assert time.monotonic() - start < 40  # neither measured for its minute


def test_more_threads_than_cores_are_refused(folders, tmp_path):
    with pytest.raises(MeasureError, match="usable cores"):
        measure(folders, tmp_path, device=DeviceSettings(name="here", runtime="onnxruntime", threads=1024))


def test_quantiles_are_tenths_and_every_process_counts_alike():
    one = summarise([[n * 1_000_000 for n in range(1, 101)]])
    assert (one["p10_ms"], one["latency_ms"], one["p90_ms"]) == pytest.approx((10.5, 50.5, 90.5))
    many, few = [1_000_000] * 1000, [9_000_000] * 3
    both = summarise([many, few, few])
    assert (both["p10_ms"], both["latency_ms"], both["num_samples"]) == (1.0, 9.0, 1006)
    assert both["process_medians_ms"] == [1.0, 9.0, 9.0]
