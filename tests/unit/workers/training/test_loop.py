"""The loop: resume is exact, recipes reduce to each other, draws are keyed."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas_service.methods.recipes.base import Augmentation
from tests.unit.workers.training.tiny import (
    TinySpace,
    TinySupernet,
    assert_same_bits,
    digits,
    tiny_trainer,
    weights_of,
)
from workers.context import WorkContext
from workers.training.augment import Draws, draw
from workers.training.checkpoint import CheckpointError, newest, verify
from workers.training.errors import InvalidMetricError

FULL = {
    "name": "sandwich",
    "num_steps": 12,
    "batch_size": 32,
    "ema_decay": 0.9,
    "label_smoothing": 0.1,
    "augmentation": {"shift_pixels": 1, "rotate_degrees": 10, "zoom": 0.1, "cutout_pixels": 2},
    "curve_every_steps": 4,
}
# No momentum, decay or clipping: one step is lr times the gradient, which the reductions compare.
BARE = {"num_steps": 5, "batch_size": 32, "momentum": 0.0, "weight_decay": 0.0, "gradient_clip_norm": None}


@dataclass
class StopAfter:
    """Says stop at the n-th question."""

    questions: int
    asked: int = field(default=0)

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked == self.questions


def final_weights(directory: Path, recipe: dict, **options) -> dict[str, torch.Tensor]:
    trainer = tiny_trainer(directory, recipe, **options)
    trainer.run()
    return weights_of(trainer.net)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("stop_after", [1, 4, 11])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, optimiser: str, stop_after: int) -> None:
    recipe = {**FULL, "optimiser": optimiser}

    def net() -> TinySupernet:
        return TinySupernet(dropout=0.3)

    whole = tiny_trainer(tmp_path / "whole", recipe, net=net())
    expected = whole.run()
    context = WorkContext(artifacts=tmp_path / "parts", should_stop=StopAfter(stop_after))
    first = tiny_trainer(tmp_path / "parts", recipe, net=net(), context=context).run()
    assert first.interrupted
    assert first.step == stop_after
    second = tiny_trainer(tmp_path / "parts", recipe, net=net(), epoch=2)
    torch.rand(3)  # the global generator plays no part
    outcome = second.run()
    assert not outcome.interrupted
    assert_same_bits(weights_of(second.net), weights_of(whole.net))
    for name in ("model", "ema", "optimiser"):
        assert_same_bits(outcome.checkpoint.tensors(name), expected.checkpoint.tensors(name))
    assert outcome.curve == expected.curve
    assert [point["step"] for point in outcome.curve] == [4, 8, 12]
    average = float(expected.checkpoint.tensors("ema")["last.bias"][0])
    assert outcome.curve[-1]["weight"] == average != float(weights_of(whole.net)["last.bias"][0])
    if stop_after > 6:
        assert outcome.train_s > first.train_s


def test_torn_newest_checkpoint_costs_one_interval_and_changes_nothing(tmp_path: Path) -> None:
    recipe = {**FULL, "checkpoint_every_steps": 3}
    expected = final_weights(tmp_path / "whole", recipe)
    context = WorkContext(artifacts=tmp_path / "torn", should_stop=StopAfter(8))
    tiny_trainer(tmp_path / "torn", recipe, context=context).run()
    latest = newest(tmp_path / "torn" / "tiny")
    assert latest is not None
    assert latest.state["step"] == 8
    file = latest.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    reports: list[dict] = []
    context = WorkContext(artifacts=tmp_path / "torn", report=reports.append)
    assert_same_bits(final_weights(tmp_path / "torn", recipe, epoch=2, context=context), expected)
    assert [report["step"] for report in reports if report["type"] == "checkpoint"] == [9, 12]


def test_only_the_last_checkpoints_stay(tmp_path: Path) -> None:
    tiny_trainer(tmp_path, {**FULL, "checkpoint_every_steps": 2}).run()
    kept = sorted(path.name for path in (tmp_path / "tiny").iterdir())
    assert kept == ["step-00000008.1", "step-00000010.1", "step-00000012.1"]


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = tiny_trainer(tmp_path, FULL).run()
    again = tiny_trainer(tmp_path, FULL, epoch=2).run()
    assert again.checkpoint == first.checkpoint
    assert again.curve == first.curve


def test_checkpoints_of_another_job_are_refused(tmp_path: Path) -> None:
    tiny_trainer(tmp_path, FULL).run()
    with pytest.raises(CheckpointError, match="another"):
        tiny_trainer(tmp_path, {**FULL, "learning_rate": 0.01}).run()


def test_seed_decides_everything(tmp_path: Path) -> None:
    same = [final_weights(tmp_path / str(i), FULL, net=TinySupernet(dropout=0.3)) for i in range(2)]
    assert_same_bits(*same)
    state = torch.get_rng_state()
    other = final_weights(tmp_path / "other", FULL, net=TinySupernet(dropout=0.3), seed=1)
    assert not torch.equal(other["first.weight"], same[0]["first.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def seen(directory: Path, recipe: dict, seed: int) -> tuple[list[list[int]], list[float]]:
    """Architectures and sums of pixels of every pass of a training in which each step sees all images."""
    net, genes, sums = TinySupernet(), [], []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        genes.append(net._genes.tolist())
        sums.append(float(inputs[0].double().sum()))

    net.register_forward_pre_hook(watch)
    batch_size = len(digits().indices("train"))
    recipe = {**BARE, "name": "uniform", "num_random": 1, "batch_size": batch_size, **recipe}
    tiny_trainer(directory, recipe, net=net, seed=seed).run()
    return genes, sums


def test_seed_and_step_decide_architectures_and_augmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [seen(tmp_path / f"plain{seed}", {}, seed) for seed in (0, 1)]
    assert plain[0][0] != plain[1][0]
    assert plain[0][1] == pytest.approx(plain[0][1][:1] * 5, abs=1e-2)
    drawn: list[float] = []

    def note(rule: Augmentation, n: int, height: int, width: int, rng: np.random.Generator) -> Draws:
        draws = draw(rule, n, height, width, rng)
        drawn.append(float(draws.zoom[0]))
        return draws

    monkeypatch.setattr("workers.training.loop.draw", note)
    for seed in (0, 1):
        seen(tmp_path / f"zoom{seed}", {"augmentation": {"zoom": 0.3}}, seed)
    assert len(set(drawn)) == 10


def test_a_step_is_as_long_as_rate_and_clip_allow(tmp_path: Path) -> None:
    recipe = {**BARE, "name": "alone", "num_steps": 2, "gradient_clip_norm": 1e-3, "checkpoint_every_steps": 1}
    recipe |= {"learning_rate": 1.0, "learning_rate_floor": 0.1, "warmup_steps": 0}
    net = TinySupernet()
    places = [{name: value.detach().clone() for name, value in net.named_parameters()}]
    tiny_trainer(tmp_path, recipe, net=net).run()
    places += [verify(path).tensors("model") for path in sorted((tmp_path / "tiny").iterdir())]
    lengths = [
        sum(float(((after[name] - before[name]) ** 2).sum()) for name in places[0]) ** 0.5
        for before, after in itertools.pairwise(places)
    ]
    assert lengths == pytest.approx([1e-3, 1e-4], rel=1e-2)


def test_sandwich_of_the_largest_alone_is_plain_training(tmp_path: Path) -> None:
    sandwich = {**FULL, "num_random": 0, "include_smallest": False}
    alone = {**FULL, "name": "alone"}
    assert_same_bits(final_weights(tmp_path / "a", sandwich), final_weights(tmp_path / "b", alone))


def test_sum_equals_mean_at_a_multiple_of_the_rate(tmp_path: Path) -> None:
    rule = {**BARE, "name": "sandwich", "learning_rate": 0.01}
    four = final_weights(tmp_path / "sum", {**rule, "reduce": "sum"})
    mean = final_weights(tmp_path / "mean", {**rule, "reduce": "mean", "learning_rate": 0.04})
    same_rate = final_weights(tmp_path / "same", {**rule, "reduce": "mean"})
    for name, value in four.items():
        torch.testing.assert_close(value, mean[name], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(four["first.weight"], same_rate["first.weight"], atol=1e-4)


def test_accumulated_micro_batches_equal_one_batch_without_norms(tmp_path: Path) -> None:
    def net() -> nn.Module:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
        module.add_module("last", nn.Linear(8, 10))
        return module

    # 32 images in 3 micro-batches: unequal parts must be weighted by their size.
    whole = final_weights(tmp_path / "1", {**BARE, "name": "alone"}, net=net())
    parts = final_weights(tmp_path / "3", {**BARE, "name": "alone", "accumulation": 3}, net=net())
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-6)


def test_distilled_tasks_see_no_labels(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, {**BARE, "name": "sandwich"})
    tasks = trainer.recipe.phases[0].sampler.plan(np.random.default_rng(0))
    assert [task.name for task in tasks] == ["largest", "random0", "random1", "smallest"]
    assert [task.regularise for task in tasks] == [True, False, False, False]
    logits = torch.randn(6, 10, requires_grad=True)
    earlier = {"largest": torch.randn(6, 10)}
    losses = {trainer.recipe.target.loss(tasks[1], logits, torch.full((6,), label), earlier).item() for label in (0, 5)}
    assert len(losses) == 1
    # The gradient of soft cross-entropy is (softmax(student) - softmax(teacher)) / n, whatever the labels.
    trainer.recipe.target.loss(tasks[1], logits, torch.zeros(6, dtype=torch.int64), earlier).backward()
    expected = (logits.detach().softmax(1) - earlier["largest"].softmax(1)) / 6
    torch.testing.assert_close(logits.grad, expected)


def test_dropout_is_on_for_the_largest_only(tmp_path: Path) -> None:
    net = TinySupernet(dropout=0.5)
    seen: list[tuple[bool, tuple[int, ...]]] = []
    net.dropout.register_forward_hook(lambda module, x, y: seen.append((module.training, tuple(net._genes))))
    tiny_trainer(tmp_path, {**BARE, "name": "sandwich", "num_steps": 1}, net=net).run()
    assert [training for training, _ in seen] == [True, False, False, False]
    assert seen[0][1] == tuple(TinySpace().largest())


def test_unused_rows_get_no_gradient_and_unused_tensors_no_decay(tmp_path: Path) -> None:
    net = TinySupernet()
    net.unused = nn.Linear(4, 4)
    before = net.unused.weight.detach().clone()
    tiny_trainer(tmp_path, {"name": "uniform", "num_steps": 3, "weight_decay": 0.1}, net=net).run()
    assert torch.equal(net.unused.weight, before)


def test_divergence_names_the_step_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    net = TinySupernet()
    calls = 0

    def poison(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return y * float("nan") if calls == 3 else y

    net.register_forward_hook(poison)
    with pytest.raises(InvalidMetricError, match="step 3") as caught:
        tiny_trainer(tmp_path, {**BARE, "name": "alone"}, net=net).run()
    assert caught.value.reason == "invalid_metric"
    assert newest(tmp_path / "tiny") is None


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.training.loop._LOOK_EVERY_STEPS", {"cpu": 100})  # as on a GPU: not at every loss
    net = TinySupernet()
    net.register_forward_hook(lambda module, x, y: y * float("nan") if weights_of(net)["last.bias"].any() else y)
    with torch.no_grad():
        net.last.bias.zero_()
    with pytest.raises(InvalidMetricError, match="step 5"):
        tiny_trainer(tmp_path, {**BARE, "name": "alone"}, net=net).run()
    assert newest(tmp_path / "tiny") is None


def test_reports_progress_curve_and_verified_checkpoints(tmp_path: Path) -> None:
    reports: list[dict] = []
    tiny_trainer(tmp_path, FULL, context=WorkContext(artifacts=tmp_path, report=reports.append)).run()
    progress = [report for report in reports if report["type"] == "progress"]
    assert progress[-1]["step"] == progress[-1]["num_steps"] == 12
    assert progress[-1]["eta_s"] == 0
    assert np.isfinite(progress[-1]["loss"])
    [checkpoint] = [report for report in reports if report["type"] == "checkpoint"]
    assert verify(tmp_path / checkpoint["path"]).sha256 == checkpoint["sha256"]
    assert checkpoint["step"] == 12


@pytest.mark.parametrize(
    ("num_steps", "slow_after", "steps"),
    [
        (7, None, [1, 2, 3, 4, 5, 6, 7]),
        (60, None, [*range(3, 61, 3)]),
        (60, 9, [3, 6, 9, 60]),  # scoring takes longer than training: the end is always known
    ],
)
def test_a_learning_curve_has_enough_points_and_costs_little(
    tmp_path, monkeypatch, num_steps, slow_after, steps
) -> None:
    monkeypatch.setattr("workers.training.loop._CURVE_SHARE", np.inf)
    trainer = tiny_trainer(tmp_path, {**BARE, "name": "alone", "num_steps": num_steps})
    points = trainer._curve_points

    def scored():
        if slow_after and len(trainer._curve) == slow_after // 3 - 1:
            monkeypatch.setattr("workers.training.loop._CURVE_SHARE", 0.0)
        return points()

    trainer._curve_points = scored
    assert [point["step"] for point in trainer.run().curve] == steps


@pytest.mark.parametrize("layout", [True, False])
def test_bf16_keeps_weights_in_fp32_in_both_layouts(tmp_path: Path, layout: bool) -> None:
    class Convolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3)
            self.last = nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.conv(x).mean((2, 3)))

    rule = {**BARE, "name": "alone", "precision": "bf16", "channels_last": layout}
    trainer = tiny_trainer(tmp_path, rule, net=Convolution())
    trainer.run()
    assert trainer.net.conv.weight.dtype == torch.float32


def test_tiny_supernet_learns(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, {"name": "sandwich", "num_steps": 150, "learning_rate": 0.1})
    trainer.run()
    x, y = trainer.data.batches("search", 1024)[0]
    trainer.net.train()  # statistics of the batch itself
    with torch.no_grad():
        accuracy = (trainer.net(x).argmax(1) == y).float().mean()
    assert accuracy > 0.85
