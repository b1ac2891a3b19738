"""What every pool of workers must do. Jobs are real: a tiny supernet is trained on the digits."""

from __future__ import annotations

import os
import signal
import time

import pytest

from nas_service.datasets.store import DatasetStore
from tests.support.searches import digits, digits_space
from workers.marker import FILE_NAME
from workers.pool_interface import Done, Lost, Report

MARKER = "marker of the tests"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """An artifact directory with the digits and a marker."""
    folder = tmp_path_factory.mktemp("artifacts")
    DatasetStore(folder / "datasets").write(digits())
    (folder / FILE_NAME).write_text(MARKER)
    return folder


class PoolContract:
    """Inherit and provide the module-scoped fixture ``pool`` with two slots over ``artifacts``."""

    def training(self, name, num_steps=6):
        recipe = {"name": "sandwich", "num_steps": num_steps, "curve_every_steps": 3, "num_random": 1}
        return {
            "supernet_id": name,
            "epoch": 1,
            "space": digits_space().document.to_json(),
            "dataset": digits().fingerprint,
            "recipe": recipe,
            "seed": 0,
            "checkpoint_dir": f"supernets/{name}",
        }

    def collect(self, pool, until, timeout_s=120.0):
        """Everything the pool says until ``until(messages)``."""
        messages, deadline = [], time.monotonic() + timeout_s
        while not until(messages):
            assert time.monotonic() < deadline, f"nothing more came after {messages}"
            messages += pool.poll(0.2)
        return messages

    @staticmethod
    def ended(job_id):
        return lambda messages: any(m.job_id == job_id and not isinstance(m, Report) for m in messages)

    def wait_until_free(self, pool):
        deadline = time.monotonic() + 120
        while pool.num_free < pool.num_slots:
            assert time.monotonic() < deadline
            assert pool.poll(0.2) == []

    @pytest.fixture(autouse=True)
    def all_free(self, pool):
        self.wait_until_free(pool)

    def test_a_job_reports_and_then_ends_with_its_result(self, pool, artifacts):
        pool.submit("job_a", 3, "train_supernet", self.training("sup_a"))
        assert pool.num_free == pool.num_slots - 1
        messages = self.collect(pool, self.ended("job_a"))
        assert {(m.job_id, m.epoch) for m in messages} == {("job_a", 3)}
        assert isinstance(messages[-1], Done)
        assert messages[-1].error is None
        assert (artifacts / messages[-1].result["checkpoint"]["path"]).is_dir()
        kinds = [m.data["type"] for m in messages[:-1]]
        assert "curve" in kinds
        assert "checkpoint" in kinds
        assert pool.num_free == pool.num_slots

    def test_two_jobs_run_at_once(self, pool):
        for name in ("b", "c"):
            pool.submit(f"job_{name}", 1, "train_supernet", self.training(f"sup_{name}"))
        assert pool.num_free == 0
        with pytest.raises(RuntimeError):
            pool.submit("job_d", 1, "train_supernet", self.training("sup_d"))
        messages = self.collect(pool, lambda found: self.ended("job_b")(found) and self.ended("job_c")(found))
        assert all(m.error is None for m in messages if isinstance(m, Done))

    def test_what_a_job_raises_is_its_error(self, pool):
        pool.submit("job_e", 1, "train_supernet", {**self.training("sup_e"), "recipe": {"name": "alone"}})
        done = self.collect(pool, self.ended("job_e"))[-1]
        assert done.result is None
        assert done.error["reason"] == "error"
        assert "alone" in done.error["message"]

    @pytest.mark.parametrize("epoch", [1, 2])
    def test_a_stopped_job_saves_its_work(self, pool, artifacts, epoch):
        pool.submit("job_f", epoch, "train_supernet", self.training("sup_f", num_steps=100_000))
        if epoch == 1:  # the second time the stop is right behind the job
            self.collect(pool, lambda found: any(isinstance(m, Report) for m in found))
        pool.stop("job_f")
        done = self.collect(pool, self.ended("job_f"))[-1]
        assert done.result["interrupted"]
        assert (artifacts / done.result["checkpoint"]["path"]).is_dir()

    def test_a_worker_can_be_ended(self, pool):
        pool.submit("job_k", 2, "train_supernet", self.training("sup_k", num_steps=100_000))
        assert pool.num_busy == 1
        pool.kill("job_k")
        assert isinstance(self.collect(pool, self.ended("job_k"))[-1], Lost)
        assert pool.num_busy == 0

    def test_a_killed_worker_is_reported_and_replaced(self, pool):
        pool.submit("job_g", 5, "train_supernet", self.training("sup_g", num_steps=100_000))
        self.collect(pool, lambda found: any(isinstance(m, Report) for m in found))
        os.kill(pool.pids["job_g"], signal.SIGKILL)
        lost = self.collect(pool, self.ended("job_g"))[-1]
        assert isinstance(lost, Lost)
        assert lost.epoch == 5
        self.wait_until_free(pool)
        for name in ("h", "i"):
            pool.submit(f"job_{name}", 1, "train_supernet", self.training(f"sup_{name}"))
        messages = self.collect(pool, lambda found: self.ended("job_h")(found) and self.ended("job_i")(found))
        assert all(m.error is None for m in messages if isinstance(m, Done))
