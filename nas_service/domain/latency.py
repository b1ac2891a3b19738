"""A measured latency with its spread, and when two of them are no different."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Median and 10 % / 90 % quantiles of single calls, milliseconds per call (of one batch)."""

    latency_ms: float
    p10_ms: float
    p90_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.p10_ms <= self.latency_ms <= self.p90_ms < float("inf"):
            raise ValueError(f"not 0 < p10 <= median <= p90: {self.p10_ms}, {self.latency_ms}, {self.p90_ms}")


def tied(a: Latency, b: Latency) -> bool:
    """Whether the difference lies inside the spread: each median within the other's p10 to p90."""
    return a.p10_ms <= b.latency_ms <= a.p90_ms and b.p10_ms <= a.latency_ms <= b.p90_ms
