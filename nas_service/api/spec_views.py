"""The stored specification of a search as it is answered. Fields that only some evaluators have are passed on too."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from nas_service.api.views import Json, View


class OpenView(View):
    """A view that keeps what it does not name."""

    model_config = ConfigDict(from_attributes=True, extra="allow")


class SpecMethodOut(View):
    """A method by name with every parameter."""

    name: str
    params: Json = Field(default_factory=dict)


class SpecBoundOut(View):
    """A hard bound, inclusive."""

    minimum: float | None
    maximum: float | None


class SpecObjectiveOut(OpenView):
    """One axis of the front or a bound alone; ``target`` says where and how latency is measured."""

    metric: str
    goal: str
    constraint: SpecBoundOut | None = None
    target: Json | None = None
    optimize: bool = True


class SpecEvaluatorOut(OpenView):
    """How a trial gets its metrics."""

    kind: str
    recipe: SpecMethodOut | None = None
    supernet_id: str | None = None
    table_id: str | None = None


class SpecBudgetOut(OpenView):
    """When the search phase ends."""

    trials: int
    wall_s: float | None = None


class SpecFinalistsOut(OpenView):
    """How finalists are scored."""

    count: int
    mode: str
    seeds: int = 1
    recipe: SpecMethodOut | None = None


class SpecOut(OpenView):
    """Everything that decides a search, complete with defaults."""

    name: str
    objectives: list[SpecObjectiveOut]
    evaluator: SpecEvaluatorOut
    strategy: SpecMethodOut
    budget: SpecBudgetOut
    finalists: SpecFinalistsOut
    parallelism: int
    seed: int
