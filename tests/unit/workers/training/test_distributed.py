"""Two workers over gloo equal one worker that accumulates the same micro-batches."""

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tests.unit.workers.training.tiny import TinySupernet, tiny_trainer, weights_of

from workers.context import WorkContext
from workers.training.checkpoint import newest, write_checkpoint
from workers.training.distributed import WorkerGroup

RECIPE = {
    "name": "sandwich",
    "num_steps": 6,
    "batch_size": 32,
    "accumulation": 2,
    "ema_decay": 0.9,
    "augmentation": {"shift_pixels": 1},
}


def work(rank: int, directory: Path, stop_at: int | None) -> None:
    """One worker; rank 1 is the one that is told to stop."""
    dist.init_process_group("gloo", init_method=f"file://{directory}/meet-{stop_at}", rank=rank, world_size=2)
    questions = 0

    def should_stop() -> bool:
        nonlocal questions
        questions += 1
        return rank == 1 and questions == stop_at

    context = WorkContext(artifacts=directory, should_stop=should_stop)
    net = TinySupernet(dropout=0.3)
    trainer = tiny_trainer(directory, RECIPE, net=net, context=context, group=WorkerGroup.current())
    outcome = trainer.run()
    assert outcome.interrupted == (stop_at is not None)
    write_checkpoint(directory / f"rank{rank}-{stop_at}", "end", {"model": weights_of(net)}, {"step": outcome.step})
    dist.destroy_process_group()


def start_two(directory: Path, stop_at: int | None = None) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(rank, directory, stop_at)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert worker.exitcode == 0


def test_two_workers_equal_one_with_accumulation(tmp_path: Path) -> None:
    alone = tiny_trainer(tmp_path / "alone", RECIPE, net=TinySupernet(dropout=0.3))
    alone.run()
    start_two(tmp_path, stop_at=3)  # both stop after step 3 although only one was told
    start_two(tmp_path)
    checkpoint = newest(tmp_path / "tiny")
    assert checkpoint is not None
    assert checkpoint.state["step"] == 6
    weights = checkpoint.tensors("model")
    for name, parameter in alone.net.named_parameters():
        torch.testing.assert_close(weights[name], parameter.detach(), rtol=1e-5, atol=1e-6)
    ends = [newest_end(tmp_path / f"rank{rank}-None") for rank in range(2)]
    for name, _ in alone.net.named_parameters():
        assert torch.equal(ends[0][name], ends[1][name])


def newest_end(directory: Path) -> dict[str, torch.Tensor]:
    from workers.training.checkpoint import verify

    return verify(directory / "end").tensors("model")


def test_micro_batches_must_divide_among_workers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        tiny_trainer(tmp_path, RECIPE, group=WorkerGroup(rank=0, size=3))
