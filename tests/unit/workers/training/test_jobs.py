"""The jobs on a real space: train a supernet, score subnets, train one network."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import workers.training.loop
from nas_service.datasets.store import DatasetStore
from search_spaces.elastic.plain import build_plain
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace
from tests.unit.workers.training.tiny import digits
from workers.context import WorkContext
from workers.evaluate import evaluate
from workers.training.checkpoint import CheckpointError, open_checkpoint, write_checkpoint
from workers.training.optimise import load_tensors
from workers.training.scoring import Calibration, for_inference, score_as_is, score_on
from workers.training.train_network import train_network
from workers.training.train_supernet import train_supernet
from workers.warm import forget, warm_data, warm_supernet

DOCUMENT: dict[str, Any] = {
    "language_version": 1,
    "name": "two-layers",
    "task": {"kind": "image_classification", "classes": 10},
    "input": {"channels": 1, "resolution": 8},
    "let": {"depth": {"int": [1, 2]}},
    "network": [
        {"block": "conv_bn_act", "name": "stem", "out": 8, "kernel": 3, "stride": 2, "activation": "relu"},
        {
            "let": {"kernel": {"one_of": [3, 5]}, "expansion": {"one_of": [1, 2, 3]}},
            "repeat": {
                "count": "=depth",
                "body": [
                    {
                        "block": "mbconv",
                        "out": 8,
                        "mid": "=in * expansion",
                        "kernel": "=kernel",
                        "stride": 1,
                        "activation": "relu",
                    }
                ],
            },
        },
        {"block": "image_head", "name": "head", "out": 10, "dropout": 0.1},
    ],
}
RECIPE = {
    "name": "sandwich",
    "num_steps": 40,
    "batch_size": 32,
    "learning_rate": 0.1,
    "warmup_steps": 5,
    "zero_init_residual": False,
    "curve_every_steps": 20,
}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("artifacts")
    DatasetStore(root / "datasets").write(digits())
    return root


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace.from_document(parse_document(DOCUMENT))


def supernet_payload(name: str, **more: Any) -> dict[str, Any]:
    return {
        "supernet_id": name,
        "epoch": 1,
        "space": DOCUMENT,
        "dataset": digits().fingerprint,
        "recipe": RECIPE,
        "seed": 0,
        "checkpoint_dir": f"supernets/{name}",
        **more,
    }


@pytest.fixture(scope="module")
def trained(artifacts: Path) -> dict[str, Any]:
    return train_supernet(supernet_payload("sup_1"), WorkContext(artifacts))


def evaluation(trained: dict[str, Any], genes: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "supernet": {"id": "sup_1", "checkpoint": trained["checkpoint"]},
        "space": DOCUMENT,
        "dataset": digits().fingerprint,
        "split": "search",
        "trials": [{"id": f"trl_{i}", "genes": [int(gene) for gene in row]} for i, row in enumerate(genes)],
        **more,
    }


def test_result_of_training(trained: dict[str, Any], artifacts: Path) -> None:
    assert not trained["interrupted"]
    assert trained["checkpoint"]["step"] == 40
    assert trained["train_s"] > 0
    assert [(point["step"], point["subnet"]) for point in trained["curve"]] == [
        (step, subnet) for step in (20, 40) for subnet in ("largest", "smallest", "random")
    ]
    assert trained["curve"][3]["accuracy_top1"] > 0.3
    assert trained["warnings"] == []
    open_checkpoint(artifacts / trained["checkpoint"]["path"], trained["checkpoint"]["sha256"])


def test_a_supernet_that_stays_at_guessing_is_said_to(artifacts: Path) -> None:
    recipe = {**RECIPE, "num_steps": 2, "learning_rate": 1e-6}
    result = train_supernet(supernet_payload("sup_guess", recipe=recipe), WorkContext(artifacts))
    (warning,) = result["warnings"]
    assert warning["code"] == "guessing"
    assert "num_steps=2" in warning["suggestion"]


def test_interrupted_supernet_resumes_to_the_same_bits(trained: dict[str, Any], artifacts: Path) -> None:
    answers = iter([False] * 9 + [True])
    stopping = WorkContext(artifacts, should_stop=lambda: next(answers))
    first = train_supernet(supernet_payload("sup_2"), stopping)
    assert first["interrupted"]
    assert first["checkpoint"]["step"] == 10
    second = train_supernet(supernet_payload("sup_2", epoch=2), WorkContext(artifacts))
    assert second["curve"] == trained["curve"]
    weights = [open_checkpoint(artifacts / r["checkpoint"]["path"]).tensors("model") for r in (trained, second)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_score_depends_on_nothing_else_in_the_batch(
    trained: dict[str, Any], artifacts: Path, space: SearchSpace
) -> None:
    context = WorkContext(artifacts)
    genes = space.enumerate()
    together = evaluate(evaluation(trained, list(genes)), context)["results"]
    backwards = evaluate(evaluation(trained, list(genes[::-1])), context)["results"][::-1]
    forget()
    alone = [evaluate(evaluation(trained, [row]), context)["results"][0] for row in genes[:4]]
    for a, b in zip(together, backwards, strict=True):
        assert a["metrics"] == b["metrics"]
    for a, b in zip(together, alone, strict=False):
        assert a["metrics"] == b["metrics"]
    metrics = together[0]["metrics"]
    assert metrics["num_samples"] == digits().info["splits"]["search"]
    assert metrics["accuracy_top1"] == metrics["num_correct"] / metrics["num_samples"]
    assert len({result["metrics"]["loss"] for result in together}) > len(genes) // 2


def test_evaluation_leaves_the_supernet_as_it_was(trained: dict[str, Any], artifacts: Path, space: SearchSpace) -> None:
    context = WorkContext(artifacts)
    payload = evaluation(trained, [space.largest()])
    warm = warm_supernet(payload["supernet"], DOCUMENT, digits().fingerprint, context)
    before = {name: value.clone() for name, value in warm.supernet.state_dict().items()}
    evaluate(payload, context)
    assert warm is warm_supernet(payload["supernet"], DOCUMENT, digits().fingerprint, context)
    for name, value in warm.supernet.state_dict().items():
        assert torch.equal(value, before[name])


def test_one_bad_trial_takes_no_other_along(trained: dict[str, Any], artifacts: Path, space: SearchSpace) -> None:
    good = space.largest()
    bad = np.full_like(good, 99)
    results = evaluate(evaluation(trained, [good, bad, [1], good]), WorkContext(artifacts))["results"]
    assert [("error" in result) for result in results] == [False, True, True, False]
    for result in results[1:3]:
        assert result["error"]["reason"] == "error"
        assert "no architecture of this space" in result["error"]["message"]
    assert results[0]["metrics"] == results[3]["metrics"]


def test_a_batch_reports_as_it_goes_and_stops_when_told(
    trained: dict[str, Any], artifacts: Path, space: SearchSpace
) -> None:
    rule = {"num_samples": 64, "batch_size": 32}
    payload = evaluation(trained, list(space.enumerate()[:3]), calibration=rule)
    reports: list[dict[str, Any]] = []
    context = WorkContext(artifacts, should_stop=lambda: len(reports) == 2, report=reports.append)
    answer = evaluate(payload, context)
    assert answer == {"interrupted": True, "results": [{k: v for k, v in r.items() if k != "type"} for r in reports]}
    assert [(report["type"], report["id"]) for report in reports] == [("result", "trl_0"), ("result", "trl_1")]
    # What sets the statistics is as much of the calibrate split as the job says.
    supernet = warm_supernet(payload["supernet"], DOCUMENT, digits().fingerprint, context).supernet
    data, genes = warm_data(digits().fingerprint, context), np.array(payload["trials"][0]["genes"], dtype=np.int16)
    for calibration, same in ((Calibration(64, 32), True), (Calibration(), False)):
        expected = score_on(supernet.extract(genes), data, "search", calibration)
        assert (answer["results"][0]["metrics"] == expected) is same


def test_memory_that_ran_out_is_given_back_once_nothing_holds_it(
    trained: dict[str, Any], artifacts: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[weakref.ref[torch.Tensor]] = []
    held = []

    def out_of_memory(*_: Any) -> dict[str, Any]:
        activations = torch.zeros(8)
        taken.append(weakref.ref(activations))
        raise torch.OutOfMemoryError(f"CUDA out of memory beside {len(activations)} numbers")

    monkeypatch.setattr("workers.training.shared_scores.SharedScores.score", out_of_memory)
    monkeypatch.setattr("workers.evaluate.give_back_memory", lambda: held.append(taken[-1]() is not None))
    [result] = evaluate(evaluation(trained, [space.largest()]), WorkContext(artifacts))["results"]
    assert result["error"]["reason"] == "oom"
    assert held == [False]


def test_bf16_and_channels_last_really_run_and_learn_as_well(
    artifacts: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[Any]] = {"dtype": set(), "laid out": set(), "weights": set()}

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not module.training or not isinstance(module, nn.Conv2d):
            return
        seen["dtype"].add(output.dtype)
        if output.shape[1] > 1 and output.shape[2] > 1:
            seen["laid out"].add(output.is_contiguous(memory_format=torch.channels_last))
        seen["weights"].add(module.weight.dtype)

    recipe = {**RECIPE, "precision": "bf16", "channels_last": True, "label_smoothing": 0.0}
    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        whole = train_supernet(supernet_payload("sup_bf16", recipe=recipe), WorkContext(artifacts))
    finally:
        handle.remove()
    assert seen == {"dtype": {torch.bfloat16}, "laid out": {True}, "weights": {torch.float32}}
    for ours, full in zip(whole["curve"], trained["curve"], strict=True):
        assert np.isfinite(ours["loss"])
        assert abs(ours["accuracy_top1"] - full["accuracy_top1"]) < 0.15
    assert whole["curve"] != trained["curve"]
    # Stopped and resumed: the same bits, from weights and moments laid out as before.
    answers = iter([False] * 9 + [True])
    stopping = WorkContext(artifacts, should_stop=lambda: next(answers))
    train_supernet(supernet_payload("sup_bf16_b", recipe=recipe), stopping)
    layouts = []
    restore = workers.training.loop.restore_optimiser

    def restored(optimiser: Any, net: Any, tensors: Any) -> None:
        restore(optimiser, net, tensors)
        layouts.extend((p.stride(), optimiser.state[p]["momentum_buffer"].stride()) for p in optimiser.state)

    monkeypatch.setattr(workers.training.loop, "restore_optimiser", restored)
    second = train_supernet(supernet_payload("sup_bf16_b", epoch=2, recipe=recipe), WorkContext(artifacts))
    assert second["curve"] == whole["curve"]
    weights = [open_checkpoint(artifacts / r["checkpoint"]["path"]).tensors("model") for r in (whole, second)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert layouts
    assert all(parameter == moment for parameter, moment in layouts)


def test_nan_weights_give_invalid_metric_for_each_trial(artifacts: Path, space: SearchSpace) -> None:
    from search_spaces.elastic.supernet import Supernet
    from workers.training.checkpoint import write_checkpoint
    from workers.training.optimise import named_tensors

    tensors = {name: value.detach().clone() for name, value in named_tensors(Supernet(space)).items()}
    next(value for name, value in tensors.items() if name.startswith("head") and value.ndim == 2).fill_(float("nan"))
    checkpoint = write_checkpoint(artifacts / "supernets" / "sup_nan", "step-00000001.1", {"model": tensors}, {})
    reference = {"path": "supernets/sup_nan/step-00000001.1", "sha256": checkpoint.sha256}
    payload = evaluation({"checkpoint": reference}, [space.largest(), space.smallest()])
    results = evaluate(payload, WorkContext(artifacts))["results"]
    assert [result["error"]["reason"] for result in results] == ["invalid_metric"] * 2


def test_damaged_or_other_weights_are_never_used(trained: dict[str, Any], artifacts: Path, space: SearchSpace) -> None:
    wrong = {"checkpoint": {**trained["checkpoint"], "sha256": "0" * 64}}
    with pytest.raises(CheckpointError):
        evaluate(evaluation(wrong, [space.largest()]), WorkContext(artifacts))


@pytest.mark.parametrize("mode", ["retrain", "finetune"])
def test_one_network(mode: str, trained: dict[str, Any], artifacts: Path, space: SearchSpace) -> None:
    genes = [int(gene) for gene in space.largest()]
    payload = {
        "network_id": f"net_{mode}",
        "epoch": 1,
        "space": DOCUMENT,
        "genes": genes,
        "dataset": digits().fingerprint,
        "mode": mode,
        "recipe": {"name": "alone", "num_steps": 20, "batch_size": 32, "learning_rate": 0.1, "ema_decay": 0.5},
        "seed": 3,
        "num_seeds": 2,
        "checkpoint_dir": f"networks/net_{mode}",
        "supernet": {"id": "sup_1", "checkpoint": trained["checkpoint"]},
    }
    context = WorkContext(artifacts)
    answers = iter([False] * 24 + [True])
    assert train_network(payload, WorkContext(artifacts, should_stop=lambda: next(answers)))["interrupted"]
    result = train_network({**payload, "epoch": 2}, context)
    assert [seed["seed"] for seed in result["seeds"]] == [3, 4]
    accuracies = [seed["metrics"]["select"]["accuracy_top1"] for seed in result["seeds"]]
    assert result["metrics"]["select"]["accuracy_top1"] == max(accuracies)
    assert result["summary"]["select"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert result["summary"]["select"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
    # The checkpoint holds what was scored: calibrated, with the moving average in place.
    net = build_plain(space.resolve(space.largest()), seed=0)
    checkpoint = open_checkpoint(artifacts / result["checkpoint"]["path"], result["checkpoint"]["sha256"])
    load_tensors(net, checkpoint.weights())
    data = warm_data(digits().fingerprint, context)
    assert score_as_is(for_inference(net), data.batches("test", 1024)) == result["metrics"]["test"]
    if mode == "finetune":  # checkpoints that began with other weights are not gone on from
        tensors = open_checkpoint(artifacts / trained["checkpoint"]["path"]).tensors("model")
        other = write_checkpoint(artifacts / "other", "step-00000001.1", {"model": tensors}, {"step": 1})
        reference = {"path": "other/step-00000001.1", "sha256": other.sha256}
        with pytest.raises(CheckpointError, match="another space, data set, recipe or seed"):
            train_network({**payload, "epoch": 3, "supernet": {"id": "sup_9", "checkpoint": reference}}, context)


def test_finetune_needs_weights(artifacts: Path, space: SearchSpace) -> None:
    payload = {
        "network_id": "n", "epoch": 1, "space": DOCUMENT, "genes": [0], "dataset": "x", "mode": "finetune",
        "recipe": {"name": "alone"}, "seed": 0, "checkpoint_dir": "networks/n",
    }  # fmt: skip
    with pytest.raises(ValueError, match="supernet"):
        train_network(payload, WorkContext(artifacts))


def test_recipes_stay_with_their_kind_of_job(artifacts: Path) -> None:
    with pytest.raises(ValueError, match="trains no supernet"):
        train_supernet(supernet_payload("x", recipe={"name": "alone"}), WorkContext(artifacts))
