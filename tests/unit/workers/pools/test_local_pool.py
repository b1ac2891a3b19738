"""The pool of child processes keeps the contract of pools; workers refuse a directory that is not the shared one."""

from __future__ import annotations

import pytest

from tests.contracts.pool_contract import PoolContract, artifacts  # noqa: F401 (a fixture)
from workers.local_pool import LocalPool
from workers.marker import WrongArtifactsError, check_marker, ensure_marker


class TestLocalPool(PoolContract):
    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, artifacts):  # noqa: F811
        pool = LocalPool(artifacts, ensure_marker(artifacts), num_slots=2)
        yield pool
        pool.close()


def test_the_marker_is_written_once_and_checked(tmp_path):
    marker = ensure_marker(tmp_path / "a")
    assert ensure_marker(tmp_path / "a") == marker
    check_marker(tmp_path / "a", marker)
    with pytest.raises(WrongArtifactsError):
        check_marker(tmp_path / "b", marker)
    ensure_marker(tmp_path / "b")
    with pytest.raises(WrongArtifactsError):
        check_marker(tmp_path / "b", marker)
