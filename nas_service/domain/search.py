"""What a user asks for: the immutable specification of one search, as the controller sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Literal

from nas_service.domain.metrics import METRICS, Goal
from nas_service.domain.states import SEARCH_PHASES


@dataclass(frozen=True)
class Constraint:
    """A hard bound on a metric; either side may be open. Inclusive."""

    minimum: float | None = None
    maximum: float | None = None

    def keeps(self, values: Any) -> Any:
        """Whether a value, or each of a NumPy array of values, is inside; NaN is not."""
        low = -inf if self.minimum is None else self.minimum
        high = inf if self.maximum is None else self.maximum
        return (values >= low) & (values <= high)


@dataclass(frozen=True)
class LatencyTarget:
    """Where and how latency is measured: what two latencies must share to be comparable."""

    device: str
    runtime: str = "onnxruntime"
    batch_size: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Objective:
    """One axis of the front; with ``optimize=False`` a bound without an axis."""

    metric: str
    goal: Goal
    constraint: Constraint | None = None
    target: LatencyTarget | None = None
    optimize: bool = True

    @property
    def sign(self) -> float:
        """+1 where smaller is better, -1 where larger is better: minimised value = sign x value."""
        return 1.0 if self.goal == "minimize" else -1.0

    @property
    def source(self) -> str:
        """How a value comes to be; what the registry does not know is a metric of a table."""
        return METRICS[self.metric].source if self.metric in METRICS else "evaluator"


@dataclass(frozen=True)
class MethodChoice:
    """A registered method by name with its (validated, complete) parameters."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatorSpec:
    """How a trial gets its accuracy: from a supernet trained with ``recipe``, or the one ``supernet_id`` names."""

    kind: Literal["supernet"]
    recipe: MethodChoice | None = None
    supernet_id: str | None = None
    calibration_samples: int = 1024


@dataclass(frozen=True)
class TableEvaluatorSpec:
    """How a trial gets its metrics: looked up in a table of evaluated architectures.

    Of several replicates of one architecture a trial gets the ``mean`` or one ``draw``n by the seed of the search.
    ``report`` names further metrics that are recorded with each trial and steer nothing.
    """

    kind: Literal["table"]
    table_id: str
    replicate: Literal["mean", "draw"] = "mean"
    report: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """The search phase ends after ``trials`` trials or ``wall_s`` seconds of it, whichever comes first."""

    trials: int
    wall_s: float | None = None


@dataclass(frozen=True)
class Finalists:
    """How many members of the search front are re-scored, and with which weights.

    ``inherit`` keeps the supernet's; ``finetune`` and ``retrain`` train each finalist ``seeds`` times.
    """

    count: int = 8
    mode: Literal["inherit", "finetune", "retrain"] = "inherit"
    seeds: int = 1
    recipe: MethodChoice | None = None


@dataclass(frozen=True)
class SearchSpec:
    """Everything that decides a search. Equal specifications and seeds give equal sequences of architectures."""

    name: str
    space_id: str
    dataset_id: str | None
    objectives: tuple[Objective, ...]
    evaluator: EvaluatorSpec | TableEvaluatorSpec
    strategy: MethodChoice
    budget: Budget
    finalists: Finalists
    parallelism: int = 8
    seed: int = 0

    @property
    def axes(self) -> tuple[Objective, ...]:
        """The objectives that span the front, in the order given."""
        return tuple(objective for objective in self.objectives if objective.optimize)

    @property
    def supernet(self) -> EvaluatorSpec:
        """The evaluator of a search over a supernet. Raises ValueError for any other kind."""
        if not isinstance(self.evaluator, EvaluatorSpec):
            raise ValueError(f"a search with evaluator {self.evaluator.kind!r} has no supernet")
        return self.evaluator

    @property
    def latency_target(self) -> LatencyTarget | None:
        """Where latency is measured, if any objective asks for it (one device per search)."""
        return next((objective.target for objective in self.objectives if objective.target is not None), None)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases the search goes through, in order."""
        needed = {
            "supernet": isinstance(self.evaluator, EvaluatorSpec),
            "latency": self.latency_target is not None,
            "finalists": self.finalists.count > 0,
        }
        return tuple(phase for phase in SEARCH_PHASES if needed.get(phase, True))

    def violations(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The constraints that these values (by metric) break, as JSON; a metric without a value breaks none."""
        broken = []
        for objective in self.objectives:
            value, bound = values.get(objective.metric), objective.constraint
            if value is None or bound is None:
                continue
            if bound.minimum is not None and value < bound.minimum:
                broken.append({"metric": objective.metric, "value": value, "minimum": bound.minimum})
            if bound.maximum is not None and value > bound.maximum:
                broken.append({"metric": objective.metric, "value": value, "maximum": bound.maximum})
        return broken

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SearchSpec:
        """The inverse of ``to_json``; the data has been validated at the border."""

        def method(value: dict[str, Any] | None) -> MethodChoice | None:
            return None if value is None else MethodChoice(**value)

        strategy, evaluator = MethodChoice(**data["strategy"]), data["evaluator"]
        if evaluator["kind"] == "table":
            chosen: EvaluatorSpec | TableEvaluatorSpec = TableEvaluatorSpec(
                **{**evaluator, "report": tuple(evaluator["report"])}
            )
        else:
            chosen = EvaluatorSpec(**{**evaluator, "recipe": method(evaluator["recipe"])})
        return cls(
            **{
                **data,
                "objectives": tuple(
                    Objective(
                        **{
                            **item,
                            "constraint": Constraint(**item["constraint"]) if item["constraint"] else None,
                            "target": LatencyTarget(**item["target"]) if item["target"] else None,
                        }
                    )
                    for item in data["objectives"]
                ),
                "evaluator": chosen,
                "strategy": strategy,
                "budget": Budget(**data["budget"]),
                "finalists": Finalists(**{**data["finalists"], "recipe": method(data["finalists"]["recipe"])}),
            }
        )
