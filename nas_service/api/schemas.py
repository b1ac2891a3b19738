"""What clients send: strict pydantic models, and their translation into domain objects.

Cross-field rules are judged in ``to_spec`` and name the field they are about by JSON pointer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from nas_service.api.problems import from_validation
from nas_service.domain.metrics import METRICS
from nas_service.domain.search import (
    Budget,
    Constraint,
    EvaluatorSpec,
    Finalists,
    LatencyTarget,
    MethodChoice,
    Objective,
    SearchSpec,
)
from nas_service.errors import InvalidInput, allowed
from nas_service.methods.recipes.registry import NETWORK_RECIPES, RECIPES, SUPERNET_RECIPES
from nas_service.methods.strategies.registry import STRATEGIES

MAX_AXES = 4
DEFAULT_DEVICE = "local-cpu"

SearchId = Annotated[str, StringConstraints(pattern=r"^srch_[0-9a-f]{32}$")]
SpaceId = Annotated[str, StringConstraints(pattern=r"^spc_[0-9a-f]{32}$")]
TrialId = Annotated[str, StringConstraints(pattern=r"^tri_[0-9a-f]{32}$")]
SupernetId = Annotated[str, StringConstraints(pattern=r"^sup_[0-9a-f]{32}$")]
DatasetId = Annotated[str, StringConstraints(pattern=r"^dat_[0-9a-f]{32}$")]
DeviceId = Annotated[str, StringConstraints(pattern=r"^dev_[0-9a-f]{32}$")]
ExportId = Annotated[str, StringConstraints(pattern=r"^exp_[0-9a-f]{32}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^key_[0-9a-f]{32}$")]
ArchitectureHash = Annotated[str, StringConstraints(pattern=r"^arc_[0-9a-f]{32}$")]
# No control characters: a name is shown in lists, titles and logs.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
MetricName = Literal[
    "accuracy_top1",
    "loss",
    "f1_macro",
    "perplexity",
    "macs",
    "params",
    "activations",
    "peak_activation_bytes",
    "latency_ms",
]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# JSON has one kind of number: 5.0 is an integer to JSON Schema, and to clients that have only doubles.
AsWhole = BeforeValidator(_whole)
Whole = Annotated[int, AsWhole]


class WireModel(BaseModel):
    """Base of everything that comes in: unknown fields, NaN and numbers as text are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ConstraintIn(WireModel):
    """A hard bound, inclusive; give at least one side."""

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _bounds(self) -> ConstraintIn:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give minimum, maximum or both")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is greater than maximum")
        return self


class ObjectiveIn(WireModel):
    """One axis of the front, or, with ``optimize: false``, a bound alone."""

    metric: MetricName
    goal: Literal["maximize", "minimize"] | None = Field(None, description="Left out: the metric's own direction.")
    constraint: ConstraintIn | None = None
    optimize: bool = True
    device: Label | None = Field(None, description="latency_ms only: name of the device; left out, `local-cpu`.")
    runtime: Literal["onnxruntime", "torch"] | None = Field(None, description="latency_ms only; left out, onnxruntime.")
    batch_size: Annotated[int, Field(ge=1, le=65_536), AsWhole] | None = Field(
        None, description="latency_ms only; left out, 1."
    )
    threads: Annotated[int, Field(ge=1, le=1024), AsWhole] | None = Field(
        None, description="latency_ms only; left out, 1."
    )


class MethodIn(WireModel):
    """A method by name (see `GET /v1/methods`) with parameters; those left out take their defaults."""

    name: Label
    params: dict[str, Any] = Field(default_factory=dict)


class SpaceIn(WireModel):
    """Exactly one of: the id of a stored space, the name of a built-in one, or a document."""

    id: SpaceId | None = None
    library: Label | None = Field(None, description="Name of a built-in space, e.g. `digits-mobile`.")
    document: dict[str, Any] | None = Field(None, description="A search space in the language, version 1.")


class EvaluatorIn(WireModel):
    """Accuracy from a supernet: a new (or equal, shared) one trained with ``recipe``, or an existing one."""

    kind: Literal["supernet"] = "supernet"
    recipe: MethodIn | None = Field(
        None,
        description="Left out: `sandwich`. Parameters left out take values that suit the task of the space.",
        examples=[{"name": "sandwich", "params": {"num_epochs": 20}}],
    )
    supernet_id: SupernetId | None = None
    calibration_samples: Whole = Field(1024, ge=1, le=1_000_000)

    @field_validator("kind", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value != "supernet":
            raise ValueError("no such evaluator; allowed: supernet, table")
        return value


class BudgetIn(WireModel):
    """The search phase ends after this many trials, at whatever fidelity, or seconds, whichever comes first."""

    trials: Whole = Field(ge=1, le=1_000_000)
    wall_s: float | None = Field(None, gt=0, le=31_536_000)


class FinalistsIn(WireModel):
    """How many members of the search front are scored again on the selection split, and with which weights."""

    count: Whole = Field(8, ge=1, le=200)
    mode: Literal["inherit", "finetune", "retrain"] = "inherit"
    seeds: Whole = Field(1, ge=1, le=20)
    recipe: MethodIn | None = Field(None, description="finetune and retrain only; left out, `alone`.")


class SearchIn(WireModel):
    """Everything that decides a search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits under 5 ms",
                    "space": {"library": "digits-mobile"},
                    "dataset": "digits",
                    "objectives": [
                        {"metric": "accuracy_top1"},
                        {"metric": "macs"},
                        {"metric": "latency_ms", "constraint": {"maximum": 5.0}},
                    ],
                    "budget": {"trials": 200},
                }
            ]
        }
    )

    name: Name
    space: SpaceIn = Field(examples=[{"library": "digits-mobile"}])
    dataset: Label = Field(description="Name or id of a registered data set.")
    objectives: list[ObjectiveIn] = Field(
        min_length=1,
        max_length=16,
        examples=[[{"metric": "accuracy_top1"}, {"metric": "macs", "constraint": {"maximum": 1e6}}]],
    )
    evaluator: EvaluatorIn = Field(
        default_factory=EvaluatorIn,  # type: ignore[arg-type]
        examples=[{"recipe": {"name": "sandwich", "params": {"num_epochs": 20}}}],
    )
    strategy: MethodIn = Field(default_factory=lambda: MethodIn(name="auto"), examples=[{"name": "nsga2"}])
    budget: BudgetIn = Field(examples=[{"trials": 200}])
    finalists: FinalistsIn = Field(default_factory=FinalistsIn, examples=[{"count": 8}])  # type: ignore[arg-type]
    parallelism: Whole = Field(8, ge=1, le=1024)
    seed: Whole = Field(0, ge=0, le=2**63 - 1)

    def to_spec(self, space_id: str, dataset_id: str) -> SearchSpec:
        """The domain object, with complete method parameters. Raises InvalidInput with pointers."""
        return SearchSpec(
            name=self.name,
            space_id=space_id,
            dataset_id=dataset_id,
            objectives=_objectives(self.objectives),
            evaluator=_evaluator(self.evaluator),
            strategy=strategy_of(self.strategy),
            budget=Budget(self.budget.trials, self.budget.wall_s),
            finalists=_finalists(self.finalists),
            parallelism=self.parallelism,
            seed=self.seed,
        )


class SpaceCreateIn(WireModel):
    """A search space to store."""

    document: dict[str, Any]


class ArchitecturesIn(WireModel):
    """Architectures by their choices: gene name to option."""

    architectures: list[dict[str, Any]] = Field(min_length=1, max_length=1000)


class ExportIn(WireModel):
    """Which trial to export."""

    trial_id: TrialId


class SignInIn(WireModel):
    """An API key, exchanged for a browser session."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class KeyIn(WireModel):
    """A key to create; the secret is in the answer and is never shown again."""

    name: Name
    scopes: list[Literal["search:read", "search:write", "artifact:read", "admin"]] = Field(min_length=1, max_length=4)
    expires_in_s: Annotated[int, Field(ge=60, le=315_360_000), AsWhole] | None = Field(
        7_776_000, description="Left out: 90 days; null: never."
    )


def _objectives(objectives: list[ObjectiveIn]) -> tuple[Objective, ...]:
    result: list[Objective] = []
    for index, item in enumerate(objectives):
        place = f"/objectives/{index}"
        if any(item.metric == other.metric for other in objectives[:index]):
            raise InvalidInput.at(f"{place}/metric", f"{item.metric} is listed twice", code="duplicate")
        if not item.optimize and item.constraint is None:
            raise InvalidInput.at(f"{place}/constraint", "an objective that is not optimized needs a constraint")
        result.append(
            Objective(
                metric=item.metric,
                goal=item.goal or METRICS[item.metric].goal,
                constraint=Constraint(item.constraint.minimum, item.constraint.maximum) if item.constraint else None,
                target=_target(item, place),
                optimize=item.optimize,
            )
        )
    axes = sum(objective.optimize for objective in result)
    if not 1 <= axes <= MAX_AXES:
        raise InvalidInput.at("/objectives", f"{axes} objectives are optimized; allowed are 1 to {MAX_AXES}")
    if not any(objective.source == "evaluator" and objective.optimize for objective in result):
        scores = ", ".join(name for name, metric in METRICS.items() if metric.source == "evaluator")
        raise InvalidInput.at("/objectives", "nothing to evaluate", suggestion=f"optimize one of: {scores}")
    return tuple(result)


def _target(item: ObjectiveIn, place: str) -> LatencyTarget | None:
    if METRICS[item.metric].source == "device":
        return LatencyTarget(
            item.device or DEFAULT_DEVICE, item.runtime or "onnxruntime", item.batch_size or 1, item.threads or 1
        )
    for name in ("device", "runtime", "batch_size", "threads"):
        if getattr(item, name) is not None:
            raise InvalidInput.at(f"{place}/{name}", f"{item.metric} is not measured on a device", code="not_allowed")
    return None


def _evaluator(item: EvaluatorIn) -> EvaluatorSpec:
    if item.supernet_id is not None and item.recipe is not None:
        raise InvalidInput.at("/evaluator/recipe", "an existing supernet is not trained again", code="not_allowed")
    recipe = None
    if item.supernet_id is None:
        recipe = _recipe(item.recipe or MethodIn(name="sandwich"), "/evaluator/recipe", SUPERNET_RECIPES)
    return EvaluatorSpec(item.kind, recipe, item.supernet_id, item.calibration_samples)


def _finalists(item: FinalistsIn) -> Finalists:
    if item.mode == "inherit":
        if item.recipe is not None:
            raise InvalidInput.at("/finalists/recipe", "mode inherit does not train", code="not_allowed")
        if item.seeds != 1:
            raise InvalidInput.at("/finalists/seeds", "mode inherit does not train: 1 is allowed", code="not_allowed")
        return Finalists(item.count)
    recipe = _recipe(item.recipe or MethodIn(name="alone"), "/finalists/recipe", NETWORK_RECIPES)
    return Finalists(item.count, item.mode, item.seeds, recipe)


def strategy_of(item: MethodIn) -> MethodChoice:
    """The strategy with complete parameters. Raises InvalidInput with pointers below ``/strategy``."""
    if item.name not in STRATEGIES:
        message = f"unknown strategy '{item.name}'"
        raise InvalidInput.at("/strategy/name", message, suggestion=allowed(item.name, sorted(STRATEGIES)))
    return MethodChoice(item.name, _complete(STRATEGIES[item.name].Params, item.params, "strategy"))


def _recipe(item: MethodIn, place: str, names: frozenset[str]) -> MethodChoice:
    if item.name not in names:
        message = f"unknown recipe '{item.name}'"
        raise InvalidInput.at(f"{place}/name", message, suggestion=allowed(item.name, sorted(names)))
    params = _complete(RECIPES[item.name], item.params, *place.strip("/").split("/"))
    # Only what was said: the rest follows from the task, which is known once the space is.
    return MethodChoice(item.name, {name: params[name] for name in item.params})


def _complete(model: type[BaseModel], params: dict[str, Any], *place: str) -> dict[str, Any]:
    """Validated parameters with every default written out, as plain JSON."""
    try:
        return model.model_validate(params).model_dump(mode="json")
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False), (*place, "params"), model) from None
