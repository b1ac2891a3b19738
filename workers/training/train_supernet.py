"""Job: train a supernet over a space, resuming by itself from the newest checkpoint."""

from typing import Any

from pydantic import BaseModel

from nas_service.methods.recipes.registry import SUPERNET_RECIPES, parse_recipe
from search_spaces.elastic.supernet import Supernet
from workers.context import WorkContext
from workers.recipes.registry import SUPERNET_BUILDERS
from workers.training.bindings import SharedWeights
from workers.training.distributed import WorkerGroup
from workers.training.environment import prepare
from workers.training.guessing import best_guess, warnings_about
from workers.training.initial import zero_last_norms
from workers.training.keyed import stream
from workers.training.loop import Trainer
from workers.training.scoring import Calibration, score_on
from workers.training.series import CheckpointSeries, config_sha256
from workers.warm import warm_data, warm_space


class SupernetJob(BaseModel):
    """Payload of the job; `checkpoint_dir` is relative to the artifact directory."""

    supernet_id: str
    epoch: int
    space: dict[str, Any]
    dataset: str
    recipe: dict[str, Any]
    seed: int
    checkpoint_dir: str


def train_supernet(payload: dict[str, Any], context: WorkContext, group: WorkerGroup | None = None) -> dict[str, Any]:
    """Train until the recipe's last step, or until told to stop.

    Reports progress, curve points of the largest, the smallest and one random subnet on the search split, and
    checkpoints. Returns the last checkpoint, the whole curve, seconds spent (earlier attempts included), warnings about
    what came of it, and whether it was interrupted. With a `group`, every rank calls this; the first one writes and
    reports. Raises InvalidMetricError when training diverges.
    """
    job = SupernetJob.model_validate(payload)
    name, params = parse_recipe(job.recipe)
    if name not in SUPERNET_RECIPES:
        raise ValueError(f"recipe {name!r} trains no supernet; one of {sorted(SUPERNET_RECIPES)} does")
    prepare(context, params.threads)
    space, data = warm_space(job.space), warm_data(job.dataset, context)
    supernet = Supernet(space, seed=job.seed)
    if params.zero_init_residual:
        zero_last_norms(supernet)
    supernet.to(data.device)
    config = {
        "space": space.id,
        "dataset": job.dataset,
        "recipe": {"name": name, **params.model_dump()},
        "seed": job.seed,
    }
    context.resolve(job.checkpoint_dir)
    series = CheckpointSeries(context.artifacts, job.checkpoint_dir, job.epoch, config_sha256(config))
    subnets = {
        "largest": space.largest(),
        "smallest": space.smallest(),
        "random": space.sample(1, stream(job.seed, "curve"))[0],
    }

    def curve_points() -> list[dict[str, Any]]:
        points = []
        for subnet, genes in subnets.items():
            metrics = score_on(supernet.extract(genes), data, "search", Calibration())
            points.append(
                {
                    "subnet": subnet,
                    "split": "search",
                    "accuracy_top1": metrics["accuracy_top1"],
                    "loss": metrics["loss"],
                }
            )
        return points

    trainer = Trainer(
        net=supernet,
        binding=SharedWeights(supernet),
        recipe=SUPERNET_BUILDERS[name](params, space, params.total_steps(data.num_train)),
        params=params,
        data=data,
        seed=job.seed,
        series=series,
        context=context,
        curve_points=curve_points,
        group=group,
        task=space.program.task,
    )
    outcome = trainer.run()
    largest = [point for point in outcome.curve if point["subnet"] == "largest"]
    warnings = []
    if largest and not outcome.interrupted:
        task = space.program.task
        warnings = warnings_about(largest[-1], best_guess(data.scored("search", task)), task, params)
    return {
        "checkpoint": series.reference(outcome.checkpoint),
        "curve": outcome.curve,
        "train_s": outcome.train_s,
        "warnings": warnings,
        "interrupted": outcome.interrupted,
    }
