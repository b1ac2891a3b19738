"""Is a specification one that can be carried out? Every problem at once, each with a JSON pointer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from nas_service.control.earlier import check_earlier
from nas_service.control.fitting import bound_to_data, check_metrics
from nas_service.control.reach import check_reachable
from nas_service.control.spaces import compiled_space
from nas_service.control.strategy_fit import check_fit
from nas_service.domain.metrics import METRICS
from nas_service.domain.records import DatasetRecord, DeviceRecord, SupernetRecord
from nas_service.domain.search import (
    Constraint,
    EvaluatorSpec,
    Finalists,
    LatencyTarget,
    MethodChoice,
    Objective,
    SearchSpec,
)
from nas_service.errors import MAX_NAMES, InvalidInput, NotFound, Problem, allowed
from nas_service.methods.recipes.registry import NETWORK_RECIPES, RECIPES, SUPERNET_RECIPES, for_networks
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.storage import datasets, devices, latencies, supernets
from nas_service.storage.session import Session
from search_spaces.space import COST_NAMES, SearchSpace

MAX_AXES = 4


@dataclass(frozen=True)
class CheckedSpec:
    """A specification with complete parameters and ids in place of names, and what it refers to.

    ``space`` is bound to the data set, so it may differ from the one that was named. ``any_feasible`` says whether an
    architecture is known that keeps the constraints, as far as they are known before an evaluation.
    """

    spec: SearchSpec
    space: SearchSpace
    dataset: DatasetRecord
    device: DeviceRecord | None
    supernet: SupernetRecord | None
    any_feasible: bool


def check_spec(session: Session, spec: SearchSpec) -> CheckedSpec:
    """Raises InvalidInput that lists everything that is wrong."""
    problems: list[Problem] = []
    space, dataset = _space_and_dataset(session, spec, problems)
    device = _check_objectives(session, spec, problems)
    strategy = check_strategy(spec, problems)
    evaluator, supernet = _evaluator(session, spec, space, dataset, problems)
    finalists = _finalists(spec, space, problems)
    check_limits(spec, problems)
    if space is None or dataset is None or problems:
        raise refusal(problems)
    complete = replace(
        spec,
        space_id=space.id,
        dataset_id=dataset.id,
        strategy=strategy,
        evaluator=evaluator,
        finalists=finalists,
    )
    check_earlier(session, complete, None, problems)
    check_fit(complete, space, COST_NAMES, problems)
    if not problems:
        feasible = check_reachable(complete, space, _fitted_estimator(session, spec, space, device), problems)
    if problems:
        raise refusal(problems)
    return CheckedSpec(complete, space, dataset, device, supernet, feasible)


def refusal(problems: list[Problem]) -> InvalidInput:
    """What is raised when something is wrong."""
    return InvalidInput("the search cannot be carried out as specified", problems=tuple(problems))


def _space_and_dataset(
    session: Session, spec: SearchSpec, problems: list[Problem]
) -> tuple[SearchSpace | None, DatasetRecord | None]:
    """The space, bound to the data set, and that; None for what there is not."""
    space = dataset = None
    try:
        space = compiled_space(session, spec.space_id)
    except NotFound as error:
        problems.append(Problem("/space_id", "unknown", error.detail))
    try:
        dataset = datasets.get(session, str(spec.dataset_id))
    except NotFound as error:
        problems.append(Problem("/dataset_id", "unknown", error.detail, "GET /v1/datasets lists them"))
    if space is not None and dataset is not None:
        space = bound_to_data(space, dataset, problems)
        check_metrics(spec, space.program.task, problems)
    return space, dataset


def _evaluator(
    session: Session,
    spec: SearchSpec,
    space: SearchSpace | None,
    dataset: DatasetRecord | None,
    problems: list[Problem],
) -> tuple[EvaluatorSpec, SupernetRecord | None]:
    """The evaluator with a complete recipe, and the supernet where it names one."""
    evaluator, recipe = spec.supernet, spec.supernet.recipe
    if evaluator.supernet_id is not None:
        if recipe is not None:
            problems.append(Problem("/evaluator/recipe", "conflict", "an existing supernet has its recipe already"))
        return evaluator, _existing_supernet(session, spec, space, dataset, problems)
    recipes = {name: RECIPES[name] for name in sorted(SUPERNET_RECIPES)}
    chosen = _suited(recipe or MethodChoice("sandwich"), space)
    return replace(evaluator, recipe=_method(chosen, recipes, "/evaluator/recipe", problems)), None


def _finalists(spec: SearchSpec, space: SearchSpace | None, problems: list[Problem]) -> Finalists:
    """How finalists are scored, with a complete recipe where they are trained."""
    finalists = spec.finalists
    if finalists.mode != "inherit":
        recipes = {name: RECIPES[name] for name in sorted(NETWORK_RECIPES)}
        chosen = _suited(finalists.recipe or MethodChoice("alone"), space)
        finalists = replace(finalists, recipe=_method(chosen, recipes, "/finalists/recipe", problems))
    elif finalists.recipe is not None or finalists.seeds != 1:
        problems.append(Problem("/finalists/mode", "conflict", "inherited weights are not trained with a recipe"))
    if finalists.count < 0 or finalists.seeds < 1:
        problems.append(Problem("/finalists", "invalid_value", "count must be at least 0 and seeds at least 1"))
    return finalists


def check_strategy(spec: SearchSpec, problems: list[Problem]) -> MethodChoice:
    """The strategy with every parameter filled in; what is wrong is added to ``problems``."""
    return _method(spec.strategy, {name: cls.Params for name, cls in STRATEGIES.items()}, "/strategy", problems)


def check_limits(spec: SearchSpec, problems: list[Problem]) -> None:
    """Budget and parallelism are positive."""
    if spec.budget.trials < 1 or (spec.budget.wall_s is not None and spec.budget.wall_s <= 0):
        problems.append(Problem("/budget", "invalid_value", "trials must be at least 1 and wall_s positive"))
    if spec.parallelism < 1:
        problems.append(Problem("/parallelism", "invalid_value", "must be at least 1"))


def check_objective(spec: SearchSpec, position: int, problems: list[Problem]) -> None:
    """An objective is given once, says what it is for, and has a range, wherever its values come from."""
    objective, here = spec.objectives[position], f"/objectives/{position}"
    if objective.metric in [other.metric for other in spec.objectives[:position]]:
        problems.append(Problem(f"{here}/metric", "duplicate", f"{objective.metric} is given twice"))
    bound = objective.constraint
    if bound is None and not objective.optimize:
        problems.append(Problem(here, "invalid_value", "neither optimised nor constrained"))
    if bound is not None and bound.minimum is not None and bound.maximum is not None and bound.minimum > bound.maximum:
        problems.append(Problem(f"{here}/constraint", "invalid_value", "minimum is larger than maximum"))


def _check_objectives(session: Session, spec: SearchSpec, problems: list[Problem]) -> DeviceRecord | None:
    """The device on which latency is measured, if any."""
    known = "known: " + ", ".join(METRICS)
    if not spec.axes:
        problems.append(Problem("/objectives", "invalid_value", "at least one objective must be optimised", known))
    if len(spec.axes) > MAX_AXES:
        problems.append(Problem("/objectives", "invalid_value", "at most four objectives can be optimised"))
    if len({objective.target for objective in spec.objectives if objective.target is not None}) > 1:
        problems.append(Problem("/objectives", "conflict", "one search measures on one device in one way"))
    device = None
    for i, objective in enumerate(spec.objectives):
        here = f"/objectives/{i}"
        if objective.metric not in METRICS:
            problems.append(Problem(f"{here}/metric", "unknown", f"unknown metric {objective.metric!r}", known))
            continue
        check_objective(spec, i, problems)
        _check_range(objective, f"{here}/constraint", problems)
        if (objective.source == "device") != (objective.target is not None):
            message = "latency needs a device" if objective.target is None else "only latency is measured on a device"
            problems.append(Problem(f"{here}/target", "invalid_value", message))
        elif objective.target is not None:
            device = _device(session, objective.target, f"{here}/target", problems) or device
    return device


def _check_range(objective: Objective, pointer: str, problems: list[Problem]) -> None:
    """The bounds leave values that the metric may have."""
    bound = objective.constraint or Constraint()
    highest = 1.0 if METRICS[objective.metric].unit == "ratio" else float("inf")
    if (bound.maximum or 0.0) < 0.0:
        message = f"no {objective.metric} is below 0"
        problems.append(Problem(f"{pointer}/maximum", "invalid_value", message, "at least 0"))
    if (bound.minimum or 0.0) > highest:
        message = f"no {objective.metric} is above {highest:g}"
        problems.append(Problem(f"{pointer}/minimum", "invalid_value", message, f"at most {highest:g}"))


def _device(session: Session, target: LatencyTarget, pointer: str, problems: list[Problem]) -> DeviceRecord | None:
    try:
        device = devices.get(session, target.device)
    except NotFound as error:
        hint = allowed(target.device, [known.name for known in devices.page(session, limit=MAX_NAMES + 1)])
        problems.append(Problem(f"{pointer}/device", "unknown", error.detail, hint))
        return None
    if target.runtime not in device.runtimes:
        message = f"device {device.name} has no runtime {target.runtime!r}"
        problems.append(Problem(f"{pointer}/runtime", "unknown", message, "allowed: " + ", ".join(device.runtimes)))
    return device


def _fitted_estimator(
    session: Session, spec: SearchSpec, space: SearchSpace, device: DeviceRecord | None
) -> dict[str, Any] | None:
    """What is known of latency before the search begins."""
    if device is None or spec.latency_target is None:
        return None
    return latencies.estimators(session, space.id, spec.latency_target).get(device.name)


def _suited(choice: MethodChoice, space: SearchSpace | None) -> MethodChoice:
    """The recipe with what suits the networks of the space, wherever the request says nothing."""
    if space is None:
        return choice
    blocks = {node.block for genes in (space.smallest(), space.largest()) for node in space.resolve(genes).nodes}
    return MethodChoice(choice.name, for_networks(space.program.task, blocks, choice.params))


def _method(choice: MethodChoice, allowed: dict[str, type[Any]], pointer: str, problems: list[Problem]) -> MethodChoice:
    """The choice with every parameter filled in."""
    model: type[BaseModel] | None = allowed.get(choice.name)
    if model is None:
        message = f"unknown name {choice.name!r}"
        problems.append(Problem(f"{pointer}/name", "unknown", message, "known: " + ", ".join(sorted(allowed))))
        return choice
    try:
        return MethodChoice(choice.name, model.model_validate(choice.params).model_dump(mode="json"))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            where = "".join(f"/{part}" for part in item["loc"])
            problems.append(Problem(f"{pointer}/params{where}", "invalid_value", item["msg"]))
        return choice


def _existing_supernet(
    session: Session,
    spec: SearchSpec,
    space: SearchSpace | None,
    dataset: DatasetRecord | None,
    problems: list[Problem],
) -> SupernetRecord | None:
    pointer = "/evaluator/supernet_id"
    try:
        supernet = supernets.get(session, str(spec.supernet.supernet_id))
    except NotFound as error:
        problems.append(Problem(pointer, "unknown", error.detail))
        return None
    if space is not None and supernet.space_id != space.id:
        problems.append(Problem(pointer, "conflict", f"belongs to search space {supernet.space_id}"))
    if dataset is not None and supernet.dataset_id != dataset.id:
        problems.append(Problem(pointer, "conflict", f"was trained on data set {supernet.dataset_id}"))
    return supernet
