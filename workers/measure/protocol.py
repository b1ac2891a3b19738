"""The timing protocol itself, on anything that can be called: warm-up, interleaved rounds, reference, drift.

Needs neither torch nor a network, so that a device agent can use it as it is.
"""

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from nas_service.methods.runtimes import MeasureProtocol

# Reference blocks are longer: the noise of their median must stay well below the drift that it is to reveal.
_REFERENCE_FACTOR = 4

# One synchronous inference; returns its duration in nanoseconds.
TimedCall = Callable[[], int]


@dataclass
class Timing:
    """Durations in nanoseconds: per network the kept calls, per kept round the reference's drift.

    `num_spoilt` counts rounds that were made again; `drift` is the largest among the kept rounds.
    """

    samples_ns: list[list[int]]
    reference_ns: list[int] = field(default_factory=list)
    drifts: list[float] = field(default_factory=list)
    num_spoilt: int = 0

    @property
    def drift(self) -> float:
        return max(self.drifts)

    def to_json(self) -> dict[str, Any]:
        return {
            "samples_ns": self.samples_ns,
            "reference_ns": self.reference_ns,
            "drift": self.drift,
            "num_spoilt": self.num_spoilt,
        }


@dataclass(frozen=True)
class _Round:
    drift: float
    blocks: list[list[int]]
    reference: list[int]


def time_interleaved(
    calls: Sequence[TimedCall], reference: TimedCall, protocol: MeasureProtocol, seed: int = 0
) -> Timing:
    """Time every call by the protocol within this process.

    All kept rounds satisfy `max_drift` unless the repeats were used up; then the rounds with the smallest drift are
    kept and the result's drift says so. Blocks are kept or dropped as whole rounds, never sample by sample, so that
    slow calls are not selected away.
    """
    order = random.Random(f"{protocol.seed}/{seed}")
    with _no_garbage_collection():
        for call in (reference, *calls):
            _warm_up(call, protocol)
        good: list[_Round] = []
        spoilt: list[_Round] = []
        most = protocol.num_rounds + protocol.max_repeats
        while len(good) < protocol.num_rounds and len(good) + len(spoilt) < most:
            made = _one_round(calls, reference, protocol, order)
            (good if made.drift <= protocol.max_drift else spoilt).append(made)
            gc.collect()
    spoilt.sort(key=lambda made: made.drift)
    kept = good + spoilt[: protocol.num_rounds - len(good)]
    timing = Timing([[] for _ in calls], num_spoilt=len(spoilt))
    for made in kept:
        timing.drifts.append(made.drift)
        timing.reference_ns += made.reference
        for samples, block in zip(timing.samples_ns, made.blocks, strict=True):
            samples += block
    return timing


def _one_round(
    calls: Sequence[TimedCall], reference: TimedCall, protocol: MeasureProtocol, order: random.Random
) -> _Round:
    """One block of every call in random order; drift = largest change of the reference in it."""
    positions = list(range(len(calls)))
    order.shuffle(positions)
    blocks: list[list[int]] = [[] for _ in calls]
    references = [_block(reference, protocol, _REFERENCE_FACTOR)]
    for count, position in enumerate(positions, start=1):
        blocks[position] = _block(calls[position], protocol)
        if count % protocol.reference_every == 0 and count < len(positions):
            references.append(_block(reference, protocol, _REFERENCE_FACTOR))
    references.append(_block(reference, protocol, _REFERENCE_FACTOR))
    medians = [median(block) for block in references]
    drift = max(medians) / min(medians) - 1.0
    return _Round(drift, blocks, [sample for block in references for sample in block])


def _block(call: TimedCall, protocol: MeasureProtocol, factor: int = 1) -> list[int]:
    """Consecutive timed calls, by number and duration. The first, with cold caches, is not counted."""
    call()
    return _calls(call, factor * protocol.min_samples, factor * protocol.min_duration_s, factor * protocol.enough_s)


def _warm_up(call: TimedCall, protocol: MeasureProtocol) -> None:
    _calls(call, protocol.warmup_calls, protocol.warmup_s, protocol.enough_s)


def _calls(call: TimedCall, least: int, least_s: float, enough_s: float) -> list[int]:
    """Durations of calls until there are `least` that took `least_s`; fewer calls do where they took `enough_s`."""
    samples: list[int] = []
    total_ns = 0
    while total_ns < least_s * 1e9 or (len(samples) < least and total_ns < enough_s * 1e9):
        samples.append(call())
        total_ns += samples[-1]
    return samples


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
