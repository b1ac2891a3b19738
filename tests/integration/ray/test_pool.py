"""The pool of Ray actors keeps the contract of pools; supernets trained by two of its workers through Ray Train equal
those of one, also when they were stopped, killed and resumed."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest
import torch

from tests.contracts.pool_contract import MARKER, PoolContract, artifacts  # noqa: F401 (a fixture)
from tests.support.searches import digits, digits_space
from workers.context import WorkContext
from workers.pool_interface import Done, Lost, Report
from workers.training.checkpoint import open_checkpoint
from workers.training.train_supernet import train_supernet

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NUM_STEPS = 60  # more of them, and rounding would make two equal trainings differ
RECIPE = {
    "name": "sandwich",
    "num_steps": NUM_STEPS,
    "num_random": 1,
    "batch_size": 256,  # slow enough to be stopped before it is done
    "accumulation": 2,
    "curve_every_steps": 20,
    "checkpoint_every_steps": 10,
    "threads": 1,
}


@pytest.fixture(scope="module")
def pool(artifacts):  # noqa: F811
    from workers.pool import RayPool

    pool = RayPool(artifacts, MARKER, num_slots=2)
    yield pool
    pool.close()


class Unreadable:
    """What can be sent to a worker, which cannot read it."""

    def __reduce__(self):
        return int, ("no number",)


class TestRayPool(PoolContract):
    def test_a_worker_that_dies_idle_is_replaced_before_it_costs_a_job(self, pool):
        pool.submit("job_m", 1, "train_supernet", self.training("sup_m", num_steps=2))
        pid = pool.pids["job_m"]
        self.collect(pool, self.ended("job_m"))
        os.kill(pid, signal.SIGKILL)
        self.collect(pool, lambda _: pool.num_free < pool.num_slots)
        self.wait_until_free(pool)
        pool.submit("job_n", 1, "train_supernet", self.training("sup_m", num_steps=2))
        assert isinstance(self.collect(pool, self.ended("job_n"))[-1], Done)

    def test_workers_that_cannot_start_end_the_pool_with_the_reason(self, pool, monkeypatch):
        pool.submit("job_o", 1, "train_supernet", self.training("sup_m", num_steps=2))
        pid = pool.pids["job_o"]
        self.collect(pool, self.ended("job_o"))
        monkeypatch.setattr(pool, "_settings", Unreadable())  # as after an update of the code below the pool
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"10 workers in a row ended as they started: (?s:.)*no number"):
            self.collect(pool, lambda _: False)
        monkeypatch.undo()
        pool._stillborn = 0  # the tests behind go on with this pool
        self.wait_until_free(pool)


def payload(name: str, epoch: int = 1, workers: int = 2, **recipe) -> dict:
    return {
        "supernet_id": name,
        "epoch": epoch,
        "space": digits_space().document.to_json(),
        "dataset": digits().fingerprint,
        "recipe": {**RECIPE, "workers": workers, **recipe},
        "seed": 3,
        "checkpoint_dir": f"supernets/{name}",
    }


def collect(pool, until):
    return PoolContract().collect(pool, until, timeout_s=300.0)  # Ray Train starts six processes for a group


def members() -> list[psutil.Process]:
    """The processes of Ray Train's workers that this test has started."""
    return processes("ray::RayTrainWo")


def helpers() -> list[psutil.Process]:
    """What Ray Train starts to clean up behind a group, and never ends where there is no dashboard."""
    return processes("ray::PlacementG")


def processes(name: str) -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process.name().startswith(name)]


def weights(artifacts, checkpoint: dict) -> dict[str, torch.Tensor]:  # noqa: F811
    return open_checkpoint(artifacts / checkpoint["path"], checkpoint["sha256"]).tensors("model")


def is_checkpoint(message) -> bool:
    return isinstance(message, Report) and message.data["type"] == "checkpoint"


def test_two_workers_equal_one_through_a_kill_and_a_stop(pool, artifacts):  # noqa: F811
    alone = train_supernet(payload("alone", workers=1), WorkContext(artifacts=artifacts))
    PoolContract().wait_until_free(pool)
    pool.submit("job_group", 1, "train_supernet", payload("together"))
    assert (pool.num_free, pool.num_busy) == (0, 1)
    with pytest.raises(RuntimeError):
        pool.submit("job_other", 1, "train_supernet", payload("other", workers=1))
    first = collect(pool, lambda found: any(is_checkpoint(m) for m in found))
    assert len(members()) == 2
    members()[1].kill()
    first += collect(pool, PoolContract.ended("job_group"))
    assert first[-1].error["reason"] == "worker_lost", first[-1]
    # As the dispatcher does it: again, under a later epoch.
    PoolContract().wait_until_free(pool)
    pool.submit("job_group", 2, "train_supernet", payload("together", epoch=2))
    second = collect(pool, lambda found: any(is_checkpoint(m) for m in found))
    pool.stop("job_group")
    second += collect(pool, PoolContract.ended("job_group"))
    assert second[-1].result["interrupted"], second[-1]
    stopped_at = second[-1].result["checkpoint"]["step"]
    assert steps(second)[0] > steps(first)[-1]  # it went on from the checkpoint of the attempt before
    PoolContract().wait_until_free(pool)
    assert members() == []
    assert helpers() == []
    pool.submit("job_group", 3, "train_supernet", payload("together", epoch=3))
    third = collect(pool, PoolContract.ended("job_group"))
    result = third[-1].result
    assert result["checkpoint"]["step"] == NUM_STEPS
    assert steps(third)[0] > stopped_at
    together = weights(artifacts, result["checkpoint"])
    for name, tensor in weights(artifacts, alone["checkpoint"]).items():
        # Statistics are those of the first worker's micro-batches; whoever uses the weights computes them afresh.
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4)
    curve = [m.data for m in first + second + third if isinstance(m, Report) and m.data["type"] == "curve"]
    assert {point["step"] for point in curve} >= set(range(20, NUM_STEPS + 1, 20))
    assert len(result["curve"]) == 3 * NUM_STEPS // 20
    PoolContract().wait_until_free(pool)  # the slots are single workers again


def steps(messages) -> list[int]:
    return [message.data["step"] for message in messages if is_checkpoint(message)]


def test_a_group_that_is_killed_before_its_workers_are_there_gives_its_place_back(pool):
    import ray

    def places() -> set[str]:
        return {place["state"] for place in ray.util.placement_group_table().values()}

    PoolContract().wait_until_free(pool)
    pool.submit("job_early", 1, "train_supernet", payload("early"))
    collect(pool, lambda _: "CREATED" in places())
    pool.kill("job_early")
    assert isinstance(collect(pool, PoolContract.ended("job_early"))[-1], Lost)
    PoolContract().wait_until_free(pool)
    assert places() == {"REMOVED"}


def test_the_worker_at_fault_explains_the_end_of_its_group():
    from workers.pool import Group
    from workers.slot import SlotSettings

    group = Group(SlotSettings("", "", "cpu", 1), size=3)
    assert group._why(RuntimeError("rank 2 is dead"))["reason"] == "worker_lost"
    for rank, reason in ((0, "worker_lost"), (1, "invalid_metric"), (2, "worker_lost")):
        error = {"reason": reason, "message": f"rank {rank}"}
        assert group.exchange(rank, '[{"type": "progress"}]', error) is False
    assert group._why(RuntimeError("all are dead")) == {"reason": "invalid_metric", "message": "rank 1"}
    group._claim = "job.2"
    group.stop("job.1")  # of an earlier claim
    assert group.exchange(0, "[]", None) is False
    group.stop("job.2")
    assert group.exchange(0, "[]", None) is True
    assert json.loads(group.take_reports()) == [{"type": "progress"}] * 3
