"""Drop path: which paths, how often, and that evaluation and exports do not know of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nas_service.methods.recipes.registry import parse_recipe
from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from tests.unit.workers.training.tiny import digits
from workers.context import WorkContext
from workers.recipes.registry import NETWORK_BUILDERS, SUPERNET_BUILDERS
from workers.training.bindings import OneNetwork, SharedWeights
from workers.training.data import DeviceData
from workers.training.drop_path import DropPath, dropped, paths_of
from workers.training.loop import Trainer
from workers.training.series import CheckpointSeries

CPU = torch.device("cpu")
RESIDUAL = """
language_version: 1
name: residual
task: {kind: image_classification, classes: 10}
input: {channels: 1, resolution: 8}
network:
  - {block: conv_bn_act, name: stem, out: 8, kernel: 3}
  - {block: mbconv, name: same, out: 8, mid: 16}
  - {block: mbconv, name: wider, out: 16, mid: 16}
  - {block: basic_block, name: basic, mid: 8, out: 16}
  - residual:
      - {block: conv_bn_act, name: body, out: 16, kernel: {one_of: [1, 3]}}
  - {block: image_head, name: head, out: 10}
"""


def network_of(space: SearchSpace) -> PlainNetwork:
    return build_plain(space.resolve(space.largest()), seed=0)


def depths(net: PlainNetwork) -> dict[str, list[float | None]]:
    names = {module: name for name, module in net.named_modules()}
    modules = [getattr(net, step.name) for step in net.steps]
    return {names[layer]: calls for layer, calls in paths_of(net.network, modules).items()}


def test_residual_branches_are_paths_and_shortcuts_are_not() -> None:
    net = network_of(SearchSpace.from_document(RESIDUAL))
    # `wider` changes its channels and so has no shortcut.
    assert depths(net) == {"same.project": [1 / 3], "basic.second": [2 / 3], "body": [1.0]}


def test_operations_of_a_cell_are_paths_and_identities_are_not() -> None:
    space = load_library("nasbench201-cell")
    net = network_of(space)
    found = depths(net)
    sums = {
        value for node in net.network.nodes if node.block == "add" and len(node.inputs) > 1 for value in node.inputs
    }
    blocks = {net.network.nodes[value - 1].block for value in sums if value}
    assert blocks - {"identity", "zero"}
    assert all(not isinstance(net.get_submodule(name), nn.Identity) for name in found)
    values = [depth for calls in found.values() for depth in calls if depth is not None]
    assert sorted(values) == pytest.approx([i / len(values) for i in range(1, len(values) + 1)])


@pytest.mark.parametrize("seed", [0, 1])
def test_operations_of_nasnet_are_paths_however_they_are_combined(seed: int) -> None:
    space = load_library("nasnet-cell")
    network = space.resolve(space.sample(1, np.random.default_rng(seed))[0])
    with torch.device("meta"):
        found = depths(PlainNetwork(network))
    combined = [value for node in network.nodes if node.block in ("add", "concat") for value in node.inputs if value]
    makers = [network.nodes[value - 1] for value in combined]
    operations = [
        node
        for node in makers
        if node.block not in ("identity", "zero", "add", "concat")
        and not (node.block == "skip_connect" and node.in_shapes[0] == node.out_shape)
    ]
    calls = sum(depth is not None for depths_of in found.values() for depth in depths_of)
    assert calls == len(operations) > 50


def test_samples_are_dropped_at_the_probability_and_the_mean_stays() -> None:
    path = torch.ones(20_000, 2, 1)
    out = dropped(path, 0.25, torch.Generator().manual_seed(0))
    assert abs(float((out[:, 0, 0] == 0).float().mean()) - 0.25) < 0.01
    assert torch.equal(out[:, 0], out[:, 1])  # a sample loses its whole path
    assert abs(float(out.mean()) - 1.0) < 0.02


def test_probability_rises_with_depth_and_progress() -> None:
    net = network_of(SearchSpace.from_document(RESIDUAL)).train()
    drop = DropPath(net, 0.6, num_steps=10, seed=0, device=CPU)
    x = torch.randn(3000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shares: dict[tuple[str, int], float] = {}

    def watch(name: str, step: int):
        def record(_: nn.Module, __: tuple, output: torch.Tensor) -> None:
            shares[name, step] = float((output.flatten(1) == 0).all(1).float().mean())

        return net.get_submodule(name).register_forward_hook(record)

    for step in (0, 9):
        with drop.during(np.zeros(1), step, 0, "only"):
            # Registered after drop path's own, so these see what is left.
            handles = [watch(name, step) for name in ("same.project", "basic.second")]
            net(x)
        for handle in handles:
            handle.remove()
    expected = {
        ("same.project", 0): 0.02,
        ("basic.second", 0): 0.04,
        ("same.project", 9): 0.2,
        ("basic.second", 9): 0.4,
    }
    assert shares == pytest.approx(expected, abs=0.03)


def test_evaluation_is_untouched_and_nothing_is_left_behind() -> None:
    for net in (network_of(SearchSpace.from_document(RESIDUAL)), Supernet(load_library("digits-mobile"))):
        genes = net.space.largest() if isinstance(net, Supernet) else np.zeros(1)
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        drop = DropPath(net, 0.9, num_steps=1, seed=0, device=CPU)
        net.eval()
        with torch.no_grad():
            before = net(x)
            with drop.during(genes, 0, 0, "only"):
                assert torch.equal(net(x), before)
            net.train()
            with drop.during(genes, 0, 0, "only"):
                trained = net(x)
            net.eval()
        assert not torch.equal(trained, before)
        layers = list(net.modules())
        if isinstance(net, Supernet):
            layers += [part for _, skeleton, _, _ in net.plan(genes).steps for part in skeleton.module.modules()]
        assert not any(layer._forward_hooks for layer in layers)


def run(directory: Path, recipe: dict, supernet: bool, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    space = load_library("digits-mobile").bind(classes=10, input=digits().info["input"])
    name, params = parse_recipe({"num_steps": 4, "batch_size": 16, "channels_last": False, **recipe})
    answers = iter([False] * (stop_after - 1) + [True] if stop_after else [])
    context = WorkContext(directory, should_stop=lambda: next(answers, False))
    if supernet:
        net = Supernet(space, seed=0)
        parts, binding = SUPERNET_BUILDERS[name](params, space, 4), SharedWeights(net)
    else:
        net = network_of(space)
        parts = NETWORK_BUILDERS[name](params, space.largest(), 4)
        binding = OneNetwork(net, net.network.input_shape)
    torch.set_num_threads(1)
    data, series = DeviceData(digits(), CPU), CheckpointSeries(directory, "net", 1, "config")
    Trainer(net, binding, parts, params, data, 0, series, context, lambda: []).run()
    return {key: value.detach().clone() for key, value in net.named_parameters()}


@pytest.mark.parametrize(("name", "supernet"), [("sandwich", True), ("alone", False)])
def test_training_repeats_and_resumes_with_the_same_drops(tmp_path: Path, name: str, supernet: bool) -> None:
    recipe = {"name": name, "drop_path": 0.5}
    whole = run(tmp_path / "a", recipe, supernet)
    run(tmp_path / "b", recipe, supernet, stop_after=2)
    resumed = run(tmp_path / "b", recipe, supernet)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    without = run(tmp_path / "c", {"name": name}, supernet)
    assert any(not torch.equal(whole[key], without[key]) for key in whole)


def test_only_the_regularised_task_drops_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropping, during = [], DropPath.during

    def noted(self: DropPath, genes: np.ndarray, step: int, micro_batch: int, task: str) -> Any:
        dropping.append((step, task))
        return during(self, genes, step, micro_batch, task)

    monkeypatch.setattr(DropPath, "during", noted)
    run(tmp_path, {"name": "sandwich", "drop_path": 0.5}, supernet=True)
    assert dropping == [(step, "largest") for step in range(4)]


def test_compiled_networks_have_no_drop_path() -> None:
    with pytest.raises(ValidationError, match="compile"):
        parse_recipe({"name": "alone", "drop_path": 0.2, "compile": True})
