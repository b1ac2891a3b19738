"""The timing protocol on calls whose durations are known."""

import gc
import itertools

import pytest

from nas_service.domain.latency import Latency, tied
from nas_service.methods.runtimes import DeviceSettings, MeasureProtocol
from workers.measure.protocol import time_interleaved
from workers.measure.session import summarise

QUICK = MeasureProtocol(warmup_calls=2, warmup_s=0, min_duration_s=0, min_samples=3, num_rounds=4, max_repeats=2)


@pytest.fixture(scope="module", autouse=True)
def little_garbage() -> None:
    """Garbage is collected before each block of calls: what earlier tests have loaded need not be visited each time."""
    gc.freeze()


class Clock:
    """Calls with durations taken from a sequence, and a record of who was called when."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def call(self, name: str, durations) -> object:
        values = iter(durations)

        def timed() -> int:
            self.log.append(name)
            return next(values)

        return timed


def test_every_network_gets_the_same_number_of_samples_and_the_right_ones():
    clock = Clock()
    calls = [clock.call(str(i), itertools.repeat(1000 * (i + 1))) for i in range(5)]
    timing = time_interleaved(calls, clock.call("reference", itertools.repeat(500)), QUICK)
    assert timing.samples_ns == [[1000 * (i + 1)] * 12 for i in range(5)]
    assert timing.drift == 0
    assert timing.num_spoilt == 0


def test_slow_networks_get_fewer_calls_and_never_none():
    clock = Clock()
    calls = [clock.call(str(ms), itertools.repeat(ms * 1_000_000)) for ms in (10, 100, 700)]
    timing = time_interleaved(
        calls, clock.call("reference", itertools.repeat(100_000_000)), MeasureProtocol(num_rounds=1)
    )
    assert [len(samples) for samples in timing.samples_ns] == [5, 3, 1]
    assert [clock.log.count(name) for name in ("10", "100", "700")] == [10 + 6, 3 + 4, 1 + 2]
    assert len(timing.reference_ns) == 2 * 10  # four times as long


def test_order_is_interleaved_random_and_fixed_by_the_seed():
    def blocks(seed: int) -> list[str]:
        clock = Clock()
        calls = [clock.call(str(i), itertools.repeat(10)) for i in range(6)]
        protocol = QUICK.model_copy(update={"reference_every": 2})
        time_interleaved(calls, clock.call("R", itertools.repeat(10)), protocol, seed)
        return [name for name, _ in itertools.groupby(clock.log)][7:]  # after the warm-up, R joins the first block

    first = blocks(0)
    assert first == blocks(0)
    assert first != blocks(1)
    rounds = "".join(first).split("RR")
    text = "".join(first)
    assert text.count("R") >= 4 * 3
    assert len({tuple(part) for part in rounds}) >= 1
    # No network is timed again before all others were.
    networks = [name for name in first if name != "R"]
    for start in range(0, len(networks), 6):
        assert sorted(networks[start : start + 6]) == list("012345")


def test_a_round_with_drift_is_made_again():
    # Warm-up: 2 calls. A round calls the reference 2 x (1 + 12) times; the second round slows down half way. That one
    # call of the first round took long is no drift.
    reference = [100] * (2 + 25) + [9000] + [100] * 13 + [110] * 13 + [100] * 26 * 10
    clock = Clock()
    timing = time_interleaved([clock.call("a", itertools.count(1))], clock.call("R", reference), QUICK)
    assert timing.num_spoilt == 1
    assert timing.drift == 0
    assert len(timing.samples_ns[0]) == 12
    # The samples of the spoilt round (calls 7 to 10, the first of each block uncounted) are gone.
    assert timing.samples_ns[0] == [4, 5, 6, 12, 13, 14, 16, 17, 18, 20, 21, 22]


def test_repeats_are_bounded_and_the_best_rounds_are_kept():
    # Every round drifts; the k-th by k %.
    reference = [100] * 2
    for k in (9, 8, 4, 5, 7, 6, 6, 6):
        reference += [100] * 13 + [100 + k] * 13
    clock = Clock()
    timing = time_interleaved([clock.call("a", itertools.repeat(1))], clock.call("R", reference), QUICK)
    assert len(timing.drifts) == 4
    assert timing.drift == pytest.approx(0.07)
    assert len(timing.samples_ns[0]) == 12


def test_summary_weighs_processes_alike():
    summary = summarise([[1_000_000] * 1000, [3_000_000] * 10])
    assert summary["p10_ms"] == 1.0
    assert summary["p90_ms"] == 3.0
    assert 1.0 < summary["latency_ms"] < 3.0
    assert summary["process_medians_ms"] == [1.0, 3.0]
    assert summary["num_samples"] == 1010


def test_ties():
    a, b, c = Latency(1.0, 0.9, 1.2), Latency(1.1, 0.95, 1.3), Latency(1.5, 1.4, 1.6)
    assert tied(a, b)
    assert tied(b, a)
    assert not tied(a, c)
    assert not tied(Latency(1.0, 0.9, 2.0), c)  # inside one spread only
    with pytest.raises(ValueError, match="median"):
        Latency(1.0, 1.1, 1.2)


@pytest.mark.parametrize(
    "settings",
    [
        {"runtime": "onnxruntime", "dtype": "bfloat16"},
        {"runtime": "onnxruntime", "processor": "cuda"},
        {"runtime": "tensorrt"},
        {"threads": 0},
        {"batch": 3},
    ],
)
def test_settings_that_no_runtime_offers(settings):
    with pytest.raises(ValueError, match="validation error"):
        DeviceSettings.model_validate(settings)
