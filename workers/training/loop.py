"""The one training loop: plan tasks, run them, combine gradients, step; save, score and report in between.

Nothing in it belongs to a method: a recipe fills in the parts. Every random draw is keyed by (seed, step, task), so
a job that resumes from a checkpoint continues bit for bit, and several workers plan the same steps.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from nas_service.methods.recipes.base import RecipeParams
from workers.context import WorkContext
from workers.training.augment import augment, draw
from workers.training.checkpoint import Checkpoint
from workers.training.data import DeviceData, TrainingOrder
from workers.training.distributed import WorkerGroup
from workers.training.drop_path import DropPath
from workers.training.errors import InvalidMetricError
from workers.training.keyed import stream, stream_key
from workers.training.optimise import (
    MovingAverage,
    build_optimiser,
    learning_rate_at,
    load_tensors,
    named_tensors,
    optimiser_tensors,
    restore_optimiser,
    set_learning_rate,
)
from workers.training.parts import Binding, Recipe, Task
from workers.training.series import CheckpointSeries

_REPORT_EVERY_S = 0.5
# Looking at a loss waits for the device; on a GPU that is done only now and then.
_LOOK_EVERY_STEPS = {"cpu": 1, "cuda": 20}
# A learning curve that nobody has asked more of: so many points, at most so many steps apart, and no more of the time.
_CURVE_POINTS = 25
_CURVE_STEPS = 200
_CURVE_SHARE = 0.2

CurvePoints = Callable[[], Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class MicroBatch:
    """A part of a step's batch: `number` counts over all workers, `share` is its part of the batch's samples."""

    number: int
    x: Tensor
    y: Tensor
    share: float


@dataclass
class Outcome:
    """How training ended."""

    checkpoint: Checkpoint
    step: int
    interrupted: bool
    curve: list[dict[str, Any]] = field(default_factory=list)
    train_s: float = 0.0


class Trainer:
    """Trains `net` in place, resuming from the newest checkpoint of the series.

    `curve_points` scores the current weights (the moving average where one is kept) for the learning curve; `task` is
    that of the language, and says what the targets of a batch are.
    """

    def __init__(
        self,
        net: nn.Module,
        binding: Binding,
        recipe: Recipe,
        params: RecipeParams,
        data: DeviceData,
        seed: int,
        series: CheckpointSeries,
        context: WorkContext,
        curve_points: CurvePoints,
        group: WorkerGroup | None = None,
        task: str = "image_classification",
    ) -> None:
        if params.augmentation.active and data.dataset.kind != "image":
            raise ValueError(f"augmentation is for images; this data set has samples of kind {data.dataset.kind}")
        if group is not None and params.accumulation % group.size:
            raise ValueError(f"accumulation {params.accumulation} is not a multiple of {group.size} workers")
        self.net = net
        self.recipe, self.params, self.data, self.seed = recipe, params, data, seed
        self._binding, self._series, self._context, self._group = binding, series, context, group
        self._task = task
        self._curve_points = curve_points
        if params.channels_last:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._parameters = [p for p in net.parameters() if p.requires_grad]
        self._optimiser = build_optimiser(params, net)
        self._average = MovingAverage(net, params.ema_decay) if params.ema_decay else None
        self._order = TrainingOrder(data.train_indices, params.batch_size, seed)
        self._dropouts = [m for m in net.modules() if isinstance(m, _DropoutNd) and m.p > 0]
        self._drop_path: DropPath | None = None
        if params.drop_path:
            self._drop_path = DropPath(net, params.drop_path, recipe.num_steps, seed, data.device)
        self._curve: list[dict[str, Any]] = []
        self._train_s = self._scored_s = 0.0

    @property
    def _is_first(self) -> bool:
        return self._group is None or self._group.rank == 0

    def run(self) -> Outcome:
        """Train to the end, or until `should_stop`; either way the last step is in a checkpoint."""
        num_steps = self.recipe.num_steps
        step, checkpoint = self._resume()
        first_step, started, spent_s = step, time.monotonic(), self._train_s
        saved_at = reported_at = started
        while step < num_steps:
            loss, stop = self._step(step)
            step += 1
            now = time.monotonic()
            self._train_s = spent_s + now - started
            done = step == num_steps
            if done or now - reported_at >= _REPORT_EVERY_S:
                reported_at = now
                self._report_progress(step, loss, (now - started) / (step - first_step))
            if self._is_first and (done or self._is_point_due(step)):
                self._score(step)
            due = step % self.params.checkpoint_every_steps == 0 or now - saved_at >= self.params.checkpoint_every_s
            if self._is_first and (done or stop or due):
                checkpoint = self._save(step)
                saved_at = now
            if stop and not done:
                break
        if checkpoint is None:  # another rank wrote it
            checkpoint = Checkpoint(self._series.directory, "", {"step": step})
        return Outcome(checkpoint, step, step < num_steps, self._curve, self._train_s)

    def use_average(self) -> AbstractContextManager[None]:
        """Evaluate with the moving average of the weights, where one is kept."""
        return nullcontext() if self._average is None else self._average.in_place()

    def _step(self, step: int) -> tuple[Tensor, bool]:
        """One optimiser step; returns the first task's loss and whether any worker was told to stop."""
        phase, position = self.recipe.phase_at(step)
        if position == 0:
            phase.on_enter(self.net)
        tasks = phase.sampler.plan(stream(self.seed, "plan", step))
        self.net.train()
        self._optimiser.zero_grad(set_to_none=True)  # what no task uses keeps no gradient, and is not decayed
        first_loss = torch.zeros((), device=self.data.device)
        total = torch.zeros((), device=self.data.device)
        for batch in self._micro_batches(step):
            outputs: dict[str, Tensor] = {}
            for index, task in enumerate(tasks):
                loss = self._backward(step, batch, task, index, len(tasks), outputs)
                total += loss
                if index == 0:
                    first_loss += loss
        stop = self._context.should_stop()
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if self._group is not None:
            # NaN and stop travel with the gradients, so that all workers take the same turn.
            told = torch.full_like(total, float(stop))
            first_loss, total, told = self._group.add_up(gradients, [first_loss, total, told])
            stop = bool(told > 0)
        if step % _LOOK_EVERY_STEPS.get(self.data.device.type, 1) == 0:
            self._refuse_nan(total, step)
        if self.params.gradient_clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.params.gradient_clip_norm, foreach=True)
        set_learning_rate(self._optimiser, learning_rate_at(self.params, step, self.recipe.num_steps))
        self._optimiser.step()
        if self._average is not None:
            self._average.observe(step)
        return first_loss, stop

    def _backward(
        self, step: int, batch: MicroBatch, task: Task, index: int, num_tasks: int, outputs: dict[str, Tensor]
    ) -> Tensor:
        """Forward and backward of one task on one micro-batch; returns its share of the step's loss, detached."""
        rows = self.recipe.routing.rows(index, num_tasks, len(batch.y))
        with self._keyed_dropout(step, batch.number, task), self._binding.bind(task.genes) as module:
            with self._autocast(), self._dropped_paths(step, batch.number, task):
                logits = module(batch.x[rows])
            loss = self.recipe.target.loss(task, logits.float(), batch.y[rows], outputs)
            outputs[task.name] = logits.detach().float()
            (loss * (self.recipe.combine.weight(task, num_tasks) * batch.share)).backward()
        return loss.detach() * batch.share

    def _micro_batches(self, step: int) -> Iterator[MicroBatch]:
        """This worker's parts of the step's batch, augmented and normalised, or with tokens masked."""
        indices = self._order.batch(step)
        rule = self.params.augmentation
        draws = None
        if rule.active:
            _, height, width = self.data.dataset.sample_shape
            draws = draw(rule, len(indices), height, width, stream(self.seed, "augment", step))
        masks = None
        if self._task == "masked_lm":
            masks = self.data.draw_masks(len(indices), stream(self.seed, "masks", step))
        rank, size = (0, 1) if self._group is None else (self._group.rank, self._group.size)
        bounds = np.linspace(0, len(indices), self.params.accumulation + 1).astype(int)
        for number in range(rank, self.params.accumulation, size):
            rows = slice(bounds[number], bounds[number + 1])
            x, y = self.data.raw(indices[rows])
            if draws is not None:
                x = augment(rule, x, draws.rows(rows))
            x, y = self.data.with_targets(
                self.data.normalise(x), y, self._task, None if masks is None else masks.rows(rows)
            )
            if self.params.channels_last and x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            yield MicroBatch(number, x, y, len(y) / len(indices))

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.params.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.data.device.type, dtype=torch.bfloat16)

    def _keyed_dropout(self, step: int, micro_batch: int, task: Task) -> AbstractContextManager[Any]:
        """Dropout on for regularised tasks only, with masks that depend on nothing but seed, step, part and task."""
        for module in self._dropouts:
            module.train(task.regularise)
        if not (self._dropouts and task.regularise):
            return nullcontext()
        return _Seeded(stream_key(self.seed, "dropout", step, micro_batch, task.name) % 2**63, self.data.device)

    def _dropped_paths(self, step: int, micro_batch: int, task: Task) -> AbstractContextManager[Any]:
        """Paths are dropped in regularised tasks only."""
        if self._drop_path is None or not task.regularise:
            return nullcontext()
        return self._drop_path.during(task.genes, step, micro_batch, task.name)

    def _resume(self) -> tuple[int, Checkpoint | None]:
        """Load the newest checkpoint, the same one on all workers; (0, None) when there is none."""
        if self._is_first:
            self._series.clean()
            found = self._series.latest()
            place = [-1, -1] if found is None else [int(found.state["step"]), int(found.state["epoch"])]
        else:
            found, place = None, [-1, -1]
        if self._group is not None:
            place = self._group.from_first(place, self.data.device)
        if place[0] < 0:
            return 0, None
        checkpoint = found or self._series.at(*place)
        load_tensors(self.net, checkpoint.tensors("model"))
        restore_optimiser(self._optimiser, self.net, checkpoint.tensors("optimiser"))
        if self._average is not None:
            self._average.restore(checkpoint.tensors("ema"))
        self._curve = list(checkpoint.state["curve"])
        self._train_s = float(checkpoint.state["train_s"])
        return place[0], checkpoint

    def _save(self, step: int) -> Checkpoint:
        tensors = {
            "model": named_tensors(self.net),
            "optimiser": optimiser_tensors(self._optimiser, self.net),
        }
        if self._average is not None:
            tensors["ema"] = self._average.tensors()
        # One number for all, since each look at one waits for the device.
        self._refuse_nan(torch.stack([parameter.detach().sum() for parameter in self._parameters]).sum(), step - 1)
        state = {
            "num_steps": self.recipe.num_steps,
            "seed": self.seed,
            "curve": self._curve,
            "train_s": self._train_s,
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
        }
        checkpoint = self._series.save(step, tensors, state)
        self._context.report({"type": "checkpoint", **self._series.reference(checkpoint)})
        return checkpoint

    def _is_point_due(self, step: int) -> bool:
        if self.params.curve_every_steps is not None:
            return step % self.params.curve_every_steps == 0
        every = min(_CURVE_STEPS, math.ceil(self.recipe.num_steps / _CURVE_POINTS))
        return step % every == 0 and self._scored_s <= _CURVE_SHARE * self._train_s

    def _score(self, step: int) -> None:
        started = time.monotonic()
        with self.use_average():
            points = [{"step": step, **point} for point in self._curve_points()]
        self._curve.extend(points)
        for point in points:
            self._context.report({"type": "curve", **point})
        self._scored_s += time.monotonic() - started

    def _report_progress(self, step: int, loss: Tensor, step_s: float) -> None:
        if self._is_first:
            value = float(loss)
            self._context.report(
                {
                    "type": "progress",
                    "step": step,
                    "num_steps": self.recipe.num_steps,
                    "loss": value if math.isfinite(value) else None,
                    "eta_s": step_s * (self.recipe.num_steps - step),
                }
            )

    def _refuse_nan(self, value: Tensor, step: int) -> None:
        if not bool(torch.isfinite(value)):
            raise InvalidMetricError(f"training diverged: not a finite number at step {step + 1}")


class _Seeded:
    """Seeds torch's global generator inside, and puts its state back afterwards."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._fork = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)
