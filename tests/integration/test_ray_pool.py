"""The pool of Ray actors keeps the contract of pools."""

from __future__ import annotations

import pytest

from tests.contracts.pool_contract import MARKER, PoolContract, artifacts  # noqa: F401 (a fixture)

pytestmark = pytest.mark.ray


class TestRayPool(PoolContract):
    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, artifacts):  # noqa: F811
        from workers.pool import RayPool

        pool = RayPool(artifacts, MARKER, num_slots=2)
        yield pool
        pool.close()
