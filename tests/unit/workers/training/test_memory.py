"""What a large job needed goes back to the system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from workers.context import WorkContext
from workers.execute import execute
from workers.marker import FILE_NAME
from workers.training.environment import give_back_memory, keep_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_a_lot() -> None:
    """450 MiB, less than what the C library would return by itself."""
    tensors = [torch.ones(30 << 18) for _ in range(15)]
    tensors.clear()


def test_memory_goes_back_after_a_job_that_is_none_of_many(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("m")
    keep_memory()
    give_back_memory()
    before = resident_mib()
    free_a_lot()
    assert "error" in execute("train_supernet", {}, WorkContext(tmp_path), "m")
    assert resident_mib() < before + 150
