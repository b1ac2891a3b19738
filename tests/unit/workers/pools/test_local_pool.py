"""The pool of child processes keeps the contract of pools; workers refuse a directory that is not the shared one."""

from __future__ import annotations

import pytest

from nas_service.storage import installation
from tests.contracts.pool_contract import MARKER, PoolContract, artifacts  # noqa: F401 (a fixture)
from workers.local_pool import LocalPool
from workers.marker import FILE_NAME, WrongArtifactsError, check_marker


class TestLocalPool(PoolContract):
    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, artifacts):  # noqa: F811
        pool = LocalPool(artifacts, MARKER, num_slots=2)
        yield pool
        pool.close()


def test_only_the_directory_with_the_marker_is_accepted(tmp_path):
    assert FILE_NAME == installation.MARKER
    with pytest.raises(WrongArtifactsError):
        check_marker(tmp_path, "a")
    (tmp_path / FILE_NAME).write_text("a")
    check_marker(tmp_path, "a")
    with pytest.raises(WrongArtifactsError):
        check_marker(tmp_path, "b")
