"""The pool of Ray actors keeps the contract of pools."""

from __future__ import annotations

import os
import signal

import pytest

from tests.contracts.pool_contract import MARKER, PoolContract, artifacts  # noqa: F401 (a fixture)
from workers.pool_interface import Done

pytestmark = pytest.mark.ray


class TestRayPool(PoolContract):
    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, artifacts):  # noqa: F811
        from workers.pool import RayPool

        pool = RayPool(artifacts, MARKER, num_slots=2)
        yield pool
        pool.close()

    def test_a_worker_that_dies_idle_is_replaced_before_it_costs_a_job(self, pool):
        pool.submit("job_m", 1, "train_supernet", self.training("sup_m", num_steps=2))
        pid = pool.pids["job_m"]
        self.collect(pool, self.ended("job_m"))
        os.kill(pid, signal.SIGKILL)
        self.collect(pool, lambda _: pool.num_free < pool.num_slots)
        self.wait_until_free(pool)
        pool.submit("job_n", 1, "train_supernet", self.training("sup_m", num_steps=2))
        assert isinstance(self.collect(pool, self.ended("job_n"))[-1], Done)
