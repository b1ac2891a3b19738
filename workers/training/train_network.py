"""Job: train one architecture by itself, from its supernet weights (finetune) or from scratch (retrain)."""

import copy
import statistics
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, model_validator

from nas_service.methods.recipes.alone import AloneParams
from nas_service.methods.recipes.registry import NETWORK_RECIPES, parse_recipe
from search_spaces.elastic.plain import PlainNetwork, build_plain
from workers.context import WorkContext
from workers.recipes.registry import NETWORK_BUILDERS
from workers.training.bindings import OneNetwork
from workers.training.checkpoint import write_checkpoint
from workers.training.data import DeviceData
from workers.training.environment import prepare
from workers.training.initial import zero_last_norms
from workers.training.loop import Outcome, Trainer
from workers.training.optimise import named_tensors
from workers.training.scoring import Calibration, score_as_is, score_on
from workers.training.series import CheckpointSeries, config_sha256
from workers.warm import warm_data, warm_space, warm_supernet


class NetworkJob(BaseModel):
    """Payload of the job; replicate i trains with `seed` + i. `supernet` is needed to finetune."""

    network_id: str
    epoch: int
    space: dict[str, Any]
    genes: list[int]
    dataset: str
    mode: Literal["finetune", "retrain"]
    recipe: dict[str, Any]
    seed: int
    num_seeds: int = Field(1, ge=1, le=100)
    checkpoint_dir: str
    supernet: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _weights_to_finetune(self) -> "NetworkJob":
        if self.mode == "finetune" and self.supernet is None:
            raise ValueError("finetune needs a supernet to take weights from")
        return self


def train_network(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """Train one architecture with one or more seeds and score each on select and test.

    Returns every seed's metrics and checkpoint, their mean and spread, and as `checkpoint` and `metrics` those of the
    seed that is best on select, by accuracy or, of language models, by loss. The checkpoints in the result hold
    calibrated batch-norm statistics: load and use. An interrupted job returns {"interrupted": True, ...} and continues
    where it was when called again.
    """
    job = NetworkJob.model_validate(payload)
    name, params = parse_recipe(job.recipe)
    if name not in NETWORK_RECIPES or not isinstance(params, AloneParams):
        raise ValueError(f"recipe {name!r} trains no single network; one of {sorted(NETWORK_RECIPES)} does")
    prepare(context, params.threads)
    context.resolve(job.checkpoint_dir)
    data = warm_data(job.dataset, context)
    seeds: list[dict[str, Any]] = []
    for index in range(job.num_seeds):
        result = _train_seed(job, name, params, job.seed + index, data, context)
        if result["interrupted"]:
            return {"interrupted": True, "seeds": seeds}
        seeds.append(result)
        context.report({"type": "seed", **{key: result[key] for key in ("seed", "metrics")}})
    is_language_model = warm_space(job.space).program.task.endswith("_lm")
    best = max(seeds, key=lambda seed: _quality(seed["metrics"]["select"], is_language_model))
    return {
        "checkpoint": best["checkpoint"],
        "metrics": best["metrics"],
        "seeds": seeds,
        "summary": {
            split: _summary([s["metrics"][split]["accuracy_top1"] for s in seeds]) for split in best["metrics"]
        },
        "train_s": sum(s["train_s"] for s in seeds),
        "interrupted": False,
    }


def _train_seed(
    job: NetworkJob, name: str, params: AloneParams, seed: int, data: DeviceData, context: WorkContext
) -> dict[str, Any]:
    """Train with one seed; its learning curve is reported with the seed."""
    genes = np.asarray(job.genes, dtype=np.int16)
    net = _initial_network(job, params, genes, seed, context).to(data.device)
    recipe = NETWORK_BUILDERS[name](params, genes, params.total_steps(data.num_train))
    config = {
        "space": warm_space(job.space).id,
        "genes": job.genes,
        "dataset": job.dataset,
        "recipe": {"name": name, **params.model_dump()},
        "seed": seed,
        "weights": job.supernet["checkpoint"]["sha256"] if job.mode == "finetune" and job.supernet else None,
    }
    relative = f"{job.checkpoint_dir}/seed-{seed}"
    series = CheckpointSeries(context.artifacts, relative, job.epoch, config_sha256(config))

    def curve_points() -> list[dict[str, Any]]:
        metrics = score_on(copy.deepcopy(net), data, "search", Calibration())
        return [{"subnet": "only", "seed": seed, "split": "search", **metrics}]

    trainer = Trainer(
        net=net,
        binding=OneNetwork(torch.compile(net) if params.compile else net, net.network.input_shape),  # type: ignore[arg-type]
        recipe=recipe,
        params=params,
        data=data,
        seed=seed,
        series=series,
        context=context,
        curve_points=curve_points,
        task=net.network.task,
    )
    try:
        outcome = trainer.run()
    except Exception as error:
        if params.compile and _is_of_compiler(error):
            reason = str(error).partition("\n")[0]
            way_out = "install a C++ compiler there, or train without `compile`"
            raise ValueError(f"this worker cannot compile networks: {reason}; {way_out}") from error
        raise
    if outcome.interrupted:
        return {"interrupted": True}
    with trainer.use_average():
        return _finish(job, seed, net, data, series, outcome)


def _is_of_compiler(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # importing it takes seconds, and who compiles has it

    return isinstance(error, TorchDynamoException)


def _initial_network(
    job: NetworkJob, params: AloneParams, genes: np.ndarray, seed: int, context: WorkContext
) -> PlainNetwork:
    if job.mode == "finetune":
        assert job.supernet is not None  # checked when the payload was parsed
        return warm_supernet(job.supernet, job.space, job.dataset, context).supernet.extract(genes)
    net = build_plain(warm_space(job.space).resolve(genes), seed=seed)
    if params.zero_init_residual:
        zero_last_norms(net)
    return net


def _finish(
    job: NetworkJob, seed: int, net: PlainNetwork, data: DeviceData, series: CheckpointSeries, outcome: Outcome
) -> dict[str, Any]:
    """Calibrate, score on select and test, and write the network that was scored."""
    metrics = {"select": score_on(net, data, "select", Calibration())}
    metrics["test"] = score_as_is(net, data.scored("test", net.network.task))
    state = {"step": outcome.step, "epoch": job.epoch, "seed": seed, "metrics": metrics}
    final = write_checkpoint(series.directory, f"final.{job.epoch}", {"model": named_tensors(net)}, state)
    return {
        "seed": seed,
        "metrics": metrics,
        "checkpoint": series.reference(final),
        "curve": outcome.curve,
        "train_s": outcome.train_s,
        "interrupted": False,
    }


def _quality(metrics: dict[str, Any], is_language_model: bool) -> tuple[float, ...]:
    """Larger is better."""
    return (-metrics["loss"],) if is_language_model else (metrics["accuracy_top1"], -metrics["loss"])


def _summary(values: list[float]) -> dict[str, float]:
    """Mean, lowest, highest and sample standard deviation (0 for a single value)."""
    return {
        "mean": statistics.fmean(values),
        "min": min(values),
        "max": max(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
    }
