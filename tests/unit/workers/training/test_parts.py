"""Order of data, augmentation, learning rate and optimiser groups."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nas_service.methods.recipes.base import Augmentation
from nas_service.methods.recipes.registry import (
    NETWORK_RECIPES,
    PRESETS,
    RECIPES,
    SUPERNET_RECIPES,
    for_networks,
    parse_recipe,
)
from nas_service.methods.recipes.sandwich import SandwichParams
from tests.unit.workers.training.tiny import TinySpace, TinySupernet, digits
from workers.context import WorkContext
from workers.recipes.registry import NETWORK_BUILDERS, SUPERNET_BUILDERS
from workers.training.augment import Draws, augment, draw
from workers.training.data import DeviceData, TrainingOrder
from workers.training.environment import prepare
from workers.training.errors import InvalidMetricError, reason_of
from workers.training.keyed import stream
from workers.training.optimise import MovingAverage, build_optimiser, learning_rate_at, load_tensors, named_tensors
from workers.training.parts import Task
from workers.training.samplers import Sandwich
from workers.training.targets import LabelsOrTeacher
from workers.training.transfer import on_host


def test_every_recipe_is_implemented() -> None:
    assert set(SUPERNET_BUILDERS) == SUPERNET_RECIPES
    assert set(NETWORK_BUILDERS) == NETWORK_RECIPES


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_parameter_is_explained(name: str) -> None:
    for field, facts in RECIPES[name].model_json_schema()["properties"].items():
        assert "description" in facts or "$ref" in facts or field == "augmentation", field


@pytest.mark.parametrize(
    "wrong", [{"learning_rate": 0}, {"batch_size": 4, "accumulation": 8}, {"spelling": 1}, {"ema_decay": 1.0}]
)
def test_wrong_parameters_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        parse_recipe({"name": "sandwich", **wrong})


@pytest.mark.parametrize(
    ("task", "blocks"),
    [
        ("sequence_classification", {"token_embedding", "conv_mixer"}),
        ("vector_classification", {"linear"}),
        ("causal_lm", {"self_attention"}),
        ("masked_lm", {"self_attention"}),
        ("image_classification", {"patch_embedding", "self_attention"}),
    ],
)
def test_recipes_suit_the_networks_where_they_say_nothing(task: str, blocks: set[str]) -> None:
    params = for_networks(task, blocks, {"learning_rate": 0.5})
    assert params["optimiser"] == "adamw"
    assert params["learning_rate"] == 0.5
    assert parse_recipe({"name": "sandwich", **params})[1].weight_decay == 0.01
    assert for_networks(task, blocks, {"optimiser": "sgd"}) == {"optimiser": "sgd"}


def test_recipes_are_made_for_convolutions() -> None:
    assert for_networks("image_classification", {"mbconv", "map_attention"}, {"num_epochs": 2}) == {"num_epochs": 2}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_are_valid(preset: str) -> None:
    name, params = parse_recipe(PRESETS[preset])
    assert params.total_steps(1078) == 808
    assert name in RECIPES


def test_streams_are_independent_of_each_other() -> None:
    assert stream(1, "plan", 2).random() == stream(1, "plan", 2).random()
    draws = {stream(*key).random() for key in ((1, "plan", 2), (1, "plan", 3), (2, "plan", 2), (1, "order", 2))}
    assert len(draws) == 4


def test_each_epoch_shows_every_image_once() -> None:
    indices = np.arange(100, 110)
    order = TrainingOrder(indices, batch_size=4, seed=0)
    seen = np.concatenate([order.batch(step) for step in range(5)])  # two epochs of ten
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(indices)
    assert list(seen[:10]) != list(seen[10:])
    assert list(TrainingOrder(indices, 4, 0).batch(3)) == list(order.batch(3))
    assert list(TrainingOrder(indices, 10, 1).batch(0)) != list(TrainingOrder(indices, 10, 0).batch(0))


def test_batches_are_normalised_like_the_data_set_says() -> None:
    data = DeviceData(digits(), torch.device("cpu"))
    x, y = data.batches("train", 10_000)[0]
    assert x.dtype == torch.float32
    assert abs(float(x.mean())) < 1e-4
    assert abs(float(x.std()) - 1) < 1e-3
    raw, labels = digits().arrays("train")
    torch.testing.assert_close(x, torch.from_numpy(digits().normalise(raw)), rtol=1e-5, atol=1e-5)
    assert torch.equal(y, torch.from_numpy(labels))
    part = data.batches("calibrate", 16, 40)
    assert [len(labels) for _, labels in part] == [13, 13, 14]  # even, and none larger than asked
    # Evenly spaced: from the first to the last, whatever the order of the samples means.
    everything = data.batches("calibrate", 10_000)[0][0]
    assert torch.equal(part[0][0][0], everything[0])
    assert torch.equal(part[-1][0][-1], everything[-1])


def test_batches_that_do_not_fit_are_made_anew_and_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DeviceData(digits(), torch.device("cpu"))
    kept = data.batches("calibrate", 16, 40)
    assert data.batches("calibrate", 16, 40) is kept
    size = 40 * 64 * 4  # float32 pixels
    monkeypatch.setattr("workers.training.data.MAX_KEPT_BYTES", 2 * size)
    data.batches("search", 16, 40)
    assert data.batches("calibrate", 16, 40) is kept  # and used last
    data.batches("select", 16, 40)
    assert data.batches("calibrate", 16, 40) is kept
    assert list(data._kept) == [("select", 40, 16, ""), ("calibrate", 40, 16, "")]
    monkeypatch.setattr("workers.training.data.MAX_KEPT_BYTES", size - 1)
    made = DeviceData(digits(), torch.device("cpu")).batches("calibrate", 16, 40)
    assert len(made) == 3
    for (x, y), (other_x, other_y) in zip(made, kept, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_tensors_come_to_the_host_contiguous_and_equal() -> None:
    laid_out = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    found = on_host({"a": laid_out, "b": nn.Parameter(torch.ones(3))})
    assert found["a"].is_contiguous()
    assert torch.equal(found["a"], laid_out)
    assert not found["b"].requires_grad


def test_a_process_for_a_gpu_names_it_and_asks_for_deterministic_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)  # there may be no GPU
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    threads = torch.get_num_threads()
    try:
        prepare(WorkContext(Path(), device="cuda:1"))
        assert chosen == [torch.device("cuda:1")]
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        torch.set_num_threads(threads)


def no_change(n: int) -> Draws:
    zeros = np.zeros((n, 2), dtype=np.int64)
    return Draws(zeros, np.zeros(n), np.ones(n), np.zeros(n, dtype=bool), zeros)


def test_shift_moves_and_fills_with_black() -> None:
    x = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3).repeat(2, 1, 1, 1)
    draws = no_change(2)
    draws.shift[1] = (1, 0)  # the image is read one row further down
    moved = augment(Augmentation(shift_pixels=1), x, draws)
    assert torch.equal(moved[0], x[0])
    assert torch.equal(moved[1, 0], torch.tensor([[4.0, 5, 6], [7, 8, 9], [0, 0, 0]]))


def test_flip_cutout_and_rotation() -> None:
    x = torch.arange(1.0, 26.0).reshape(1, 1, 5, 5)
    draws = no_change(1)
    draws.flip[0] = True
    assert torch.equal(augment(Augmentation(flip_horizontal=True), x, draws), x.flip(3))
    draws.centre[0] = (0, 4)
    cut = augment(Augmentation(cutout_pixels=3), x, draws)
    assert torch.equal((cut == 0).nonzero()[:, 2:], torch.tensor([[0, 3], [0, 4], [1, 3], [1, 4]]))
    draws.angle[0] = np.pi / 2
    turned = augment(Augmentation(rotate_degrees=90), x, draws)
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), rtol=1e-4, atol=1e-4)
    draws.angle[0] = 0
    torch.testing.assert_close(augment(Augmentation(rotate_degrees=90, zoom=0.1), x, draws), x)
    draws.zoom[0] = 2.0  # twice as large: the middle fills the image
    assert float(augment(Augmentation(zoom=0.5), x, draws)[0, 0].diff(dim=1).mean()) == pytest.approx(0.5)


def test_draws_reach_both_ends_of_what_a_rule_allows() -> None:
    rule = Augmentation(shift_pixels=2, rotate_degrees=90, zoom=0.2, flip_horizontal=True, cutout_pixels=1)
    draws = draw(rule, 500, 3, 5, stream(0, "augment", 1))
    assert set(draws.shift.ravel()) == {-2, -1, 0, 1, 2}
    for values, low, high in ((draws.zoom, 0.8, 1.2), (draws.angle, -np.pi / 2, np.pi / 2), (draws.flip, 0, 1)):
        assert values.min() == pytest.approx(low, abs=0.05)
        assert values.max() == pytest.approx(high, abs=0.05)
    assert draws.centre.max(axis=0).tolist() == [2, 4]


def test_cutting_a_batch_into_parts_changes_no_draw() -> None:
    rule = Augmentation(shift_pixels=2, rotate_degrees=15, zoom=0.2, flip_horizontal=True, cutout_pixels=3)
    x = torch.rand(10, 1, 8, 8)
    draws = draw(rule, 10, 8, 8, stream(0, "augment", 1))
    whole = augment(rule, x, draws)
    parts = [augment(rule, x[rows], draws.rows(rows)) for rows in (slice(0, 3), slice(3, 10))]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, x)


def test_learning_rate_rises_falls_and_stays_at_the_floor() -> None:
    params = SandwichParams(learning_rate=1.0, warmup_steps=4, learning_rate_floor=0.1)
    rates = [learning_rate_at(params, step, 100) for step in range(100)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))
    assert rates[-1] == 0.1
    assert [learning_rate_at(params, step, 3) for step in range(3)] == pytest.approx([1.0, 1.0, 0.1])
    assert learning_rate_at(params, 0, 1) == 1.0


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_only_tensors_of_two_dimensions_decay(optimiser: str) -> None:
    net = TinySupernet()
    groups = build_optimiser(SandwichParams(optimiser=optimiser, weight_decay=0.3), net).param_groups
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] == 0.3) for p in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_optimisers_have_the_momenta_of_the_recipe() -> None:
    net = TinySupernet()
    sgd = build_optimiser(SandwichParams(momentum=0.8), net).defaults
    assert (sgd["momentum"], sgd["nesterov"]) == (0.8, True)
    assert not build_optimiser(SandwichParams(momentum=0.0), net).defaults["nesterov"]
    adamw = SandwichParams(optimiser="adamw", momentum=0.8, second_momentum=0.95)
    assert build_optimiser(adamw, net).defaults["betas"] == (0.8, 0.95)


def test_losses_of_classifiers() -> None:
    """Smoothing spreads a share of the label; a teacher and its pupil are both softened, and the size is put back."""
    logits, teacher = (torch.randn(4, 3, generator=torch.Generator().manual_seed(i)) for i in range(2))
    labels = torch.tensor([0, 2, 1, 1])
    target, log = LabelsOrTeacher(0.3, temperature=2.0), logits.log_softmax(1)
    expected = -(0.7 * log[range(4), labels] + 0.1 * log.sum(1)).mean()
    found = target.loss(Task("largest", np.zeros(1)), logits, labels, {})
    torch.testing.assert_close(found, expected)
    expected = -4.0 * ((teacher / 2).softmax(1) * (logits / 2).log_softmax(1)).sum(1).mean()
    found = target.loss(Task("random0", np.zeros(1), "largest"), logits, labels, {"largest": teacher})
    torch.testing.assert_close(found, expected)


def test_a_sandwich_has_both_ends_of_the_space() -> None:
    space = TinySpace()
    plan = Sandwich(space, 2, include_smallest=True, distill=True).plan(stream(0, "plan", 0))  # type: ignore[arg-type]
    assert [task.name for task in plan] == ["largest", "random0", "random1", "smallest"]
    assert plan[0].genes.tolist() == space.largest().tolist()
    assert plan[-1].genes.tolist() == space.smallest().tolist()


def test_moving_average_is_put_in_place_and_taken_out() -> None:
    net = TinySupernet()
    average = MovingAverage(net, 0.8)
    before = net.last.bias.detach().clone()
    with torch.no_grad():
        net.last.bias += 1.0
    average.observe(1000)
    with average.in_place():
        torch.testing.assert_close(net.last.bias.detach(), before + 0.2)
    torch.testing.assert_close(net.last.bias.detach(), before + 1.0)
    torch.testing.assert_close(average.tensors()["last.bias"], before + 0.2)
    average.observe(0)  # at the start nine tenths of what is new, or the first weights would stay for long
    torch.testing.assert_close(average.tensors()["last.bias"], before + 0.92)


def test_weights_of_another_network_are_refused() -> None:
    tensors = {name: value.detach().clone() for name, value in named_tensors(TinySupernet()).items()}
    with pytest.raises(ValueError, match="another network"):
        load_tensors(TinySupernet(), {**tensors, "more": torch.zeros(1)})
    tensors["last.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match="shape"):
        load_tensors(TinySupernet(), tensors)


def test_reasons_of_failures() -> None:
    assert reason_of(InvalidMetricError("nan")) == "invalid_metric"
    assert reason_of(torch.OutOfMemoryError("CUDA out of memory")) == "oom"
    assert reason_of(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")) == "oom"
    assert reason_of(MemoryError()) == "oom"
    assert reason_of(ValueError("shape")) == "error"
