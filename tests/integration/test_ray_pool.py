"""The pool of Ray actors keeps the contract of pools."""

from __future__ import annotations

import pytest

from tests.contracts.pool_contract import PoolContract, artifacts  # noqa: F401 (a fixture)
from workers.marker import ensure_marker

pytestmark = pytest.mark.ray


class TestRayPool(PoolContract):
    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, artifacts):  # noqa: F811
        from workers.pool import RayPool

        pool = RayPool(artifacts, ensure_marker(artifacts), num_slots=2)
        yield pool
        pool.close()
