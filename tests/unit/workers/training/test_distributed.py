"""Two workers over gloo equal one worker that accumulates the same micro-batches."""

import json
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.unit.workers.training.tiny import TinySupernet, tiny_trainer, weights_of
from workers.context import WorkContext
from workers.training.checkpoint import newest, verify, write_checkpoint
from workers.training.distributed import WorkerGroup
from workers.training.errors import WorkerLostError, reason_of

RECIPE = {
    "name": "sandwich",
    "num_steps": 6,
    "batch_size": 32,
    "accumulation": 2,
    "ema_decay": 0.9,
    "augmentation": {"shift_pixels": 1},
}


def two_workers(target: Callable[[int, Path], None], directory: Path) -> list[BaseProcess]:
    """Forked from a process that has loaded torch and done nothing with it: all four of this file load it once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workers.tasks", "torch._dynamo", "pytest"])
    workers = [context.Process(target=target, args=(rank, directory)) for rank in range(2)]
    for worker in workers:
        worker.start()
    return workers


def work(rank: int, directory: Path) -> None:
    """One worker: trains until rank 1 is told to stop after step 3, then resumes and trains to the end."""
    dist.init_process_group("gloo", init_method=f"file://{directory}/meet", rank=rank, world_size=2)
    answers = iter([False, False, rank == 1])
    context = WorkContext(artifacts=directory, should_stop=lambda: next(answers))
    first = tiny_trainer(directory, RECIPE, net=TinySupernet(dropout=0.3), context=context, group=WorkerGroup.current())
    planned = [note_plans(first)]
    outcome = first.run()
    assert outcome.interrupted
    assert outcome.step == 3
    second = tiny_trainer(directory, RECIPE, net=TinySupernet(dropout=0.3), epoch=2, group=WorkerGroup.current())
    planned.append(note_plans(second))
    assert second.run().step == 6
    (directory / f"plans{rank}.json").write_text(json.dumps(planned[0] + planned[1]))
    write_checkpoint(directory / f"rank{rank}", "end", {"model": weights_of(second.net)}, {"step": 6})
    dist.destroy_process_group()


def note_plans(trainer) -> list:
    """Fills, step by step, with the architectures that this worker trains."""
    plans, sampler = [], trainer.recipe.phases[0].sampler
    plan = sampler.plan

    def noted(rng):
        tasks = plan(rng)
        plans.append([task.genes.tolist() for task in tasks])
        return tasks

    object.__setattr__(sampler, "plan", noted)
    return plans


@pytest.mark.slow
def test_two_workers_equal_one_with_accumulation(tmp_path: Path) -> None:
    workers = two_workers(work, tmp_path)
    alone = tiny_trainer(tmp_path / "alone", RECIPE, net=TinySupernet(dropout=0.3))
    plans = note_plans(alone)
    alone.run()
    for worker in workers:
        worker.join(timeout=120)
        assert worker.exitcode == 0
    # The same architectures on every worker, step by step, and those that one worker would have trained.
    assert len(plans) == 6
    for rank in range(2):
        assert json.loads((tmp_path / f"plans{rank}.json").read_text()) == plans
    checkpoint = newest(tmp_path / "tiny")
    assert checkpoint is not None
    assert checkpoint.path.name == "step-00000006.2"
    ends = [verify(tmp_path / f"rank{rank}" / "end").tensors("model") for rank in range(2)]
    saved = checkpoint.tensors("model")
    for name, parameter in alone.net.named_parameters():
        torch.testing.assert_close(saved[name], parameter.detach(), rtol=1e-5, atol=1e-6)
        assert torch.equal(ends[0][name], ends[1][name])
        assert torch.equal(ends[0][name], saved[name])


def test_micro_batches_must_divide_among_workers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        tiny_trainer(tmp_path, RECIPE, group=WorkerGroup(rank=0, size=3))


def lose_a_peer(rank: int, directory: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{directory}/meet", rank=rank, world_size=2)
    if rank == 1:
        os._exit(9)
    with pytest.raises(WorkerLostError):
        WorkerGroup.current().add_up([torch.ones(3)], [torch.ones(())])
    os._exit(0)


def test_a_dead_peer_has_a_reason_of_its_own(tmp_path: Path) -> None:
    workers = two_workers(lose_a_peer, tmp_path)
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 9]
    assert reason_of(WorkerLostError("gone")) == "worker_lost"
