"""Whether space, data set and metrics of a search fit each other; the space takes on the sizes of the data set."""

from __future__ import annotations

from nas_service.domain.metrics import METRICS
from nas_service.domain.records import DatasetRecord
from nas_service.domain.search import SearchSpec
from nas_service.errors import Problem
from search_spaces.errors import SpaceError
from search_spaces.shapes import TokensShape
from search_spaces.space import SearchSpace


def bound_to_data(space: SearchSpace, dataset: DatasetRecord, problems: list[Problem]) -> SearchSpace:
    """The space with the sizes of the data set wherever its document leaves them to the data.

    What does not fit is added to ``problems``. Labels of a data set do not hinder a language model.
    """
    task = space.program.task
    classes = len(dataset.manifest["classes"]) if task.endswith("classification") else None
    if classes == 0:
        message = f"the data set has no labels, which {task} needs"
        problems.append(Problem("/dataset_id", "conflict", message, "add it with labels, or search a language model"))
        return space
    given = dataset.manifest["input"]
    try:
        bound = space.bind(classes=classes, input=given)
        shape = bound.resolve(bound.largest()).input_shape
        if isinstance(shape, TokensShape) and shape.length > given["length"]:
            message = f"search space at /input/length: {shape.length} tokens, samples have {given['length']}"
            problems.append(Problem("/dataset_id", "conflict", message, "write: length: data"))
        return bound
    except SpaceError as error:
        hint = _written_for(space)
        problems += [
            Problem(
                "/dataset_id",
                "conflict",
                f"search space at {item.pointer}: {item.message}",
                hint if item.pointer.startswith("/network") else None,
            )
            for item in error.problems
        ]
        return space


def _written_for(space: SearchSpace) -> str | None:
    """With which size of input the document works for certain, and how a data set gets it."""
    given = space.document.to_json()["input"]
    for name, option in (("resolution", "--size"), ("length", "--length")):
        value = given.get(name)
        if isinstance(value, dict) and "data" in value:
            return f"the document was written for {name} {value['data']}: nas data add {option} {value['data']}"
    return None


def check_metrics(spec: SearchSpec, task: str, problems: list[Problem]) -> None:
    """Every metric that an objective names is one that networks for the task have."""
    for i, objective in enumerate(spec.objectives):
        metric = METRICS.get(objective.metric)
        if metric is not None and not metric.applies_to(task):
            allowed = ", ".join(name for name, other in METRICS.items() if other.applies_to(task))
            message = f"networks for {task} have no {objective.metric}"
            problems.append(Problem(f"/objectives/{i}/metric", "conflict", message, f"allowed: {allowed}"))
