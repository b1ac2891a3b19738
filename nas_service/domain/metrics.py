"""The metrics an objective may name: unit, direction, and how the value comes to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Goal = Literal["maximize", "minimize"]
Source = Literal["evaluator", "cost", "device"]


@dataclass(frozen=True)
class Metric:
    """A named quantity.

    ``source`` says how a value comes to be: ``evaluator`` (an evaluation), ``cost`` (exact, from the space),
    ``device`` (measured). ``tasks`` are the endings of the tasks that have it; none: all do.
    """

    name: str
    unit: str
    goal: Goal
    source: Source
    help: str
    tasks: tuple[str, ...] = ()

    def applies_to(self, task: str) -> bool:
        """Whether networks for this task of the language have the metric."""
        return not self.tasks or task.endswith(self.tasks)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy_top1",
            "ratio",
            "maximize",
            "evaluator",
            "share of correctly classified samples, or of correctly predicted tokens, 0 to 1",
        ),
        Metric("loss", "nats", "minimize", "evaluator", "mean cross-entropy"),
        Metric(
            "f1_macro",
            "ratio",
            "maximize",
            "evaluator",
            "mean over classes of the F1 score, 0 to 1",
            ("classification",),
        ),
        Metric("perplexity", "tokens", "minimize", "evaluator", "e to the mean cross-entropy of a token", ("_lm",)),
        Metric("macs", "count", "minimize", "cost", "multiply-accumulates of one forward pass of one sample"),
        Metric("params", "count", "minimize", "cost", "learnable numbers"),
        Metric("activations", "count", "minimize", "cost", "output elements of convolutions and matrix products"),
        Metric(
            "peak_activation_bytes",
            "bytes",
            "minimize",
            "cost",
            "largest live activation memory, float32, batch 1",
        ),
        Metric("latency_ms", "ms", "minimize", "device", "median time of one forward pass on a named device"),
    )
}
